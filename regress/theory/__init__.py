"""Theoretical predictions for SGD on regression problems, as pure functions in float64.

Rows are z (n, P): the features, followed by a constant 1 if the model has an intercept. Each function
states its assumptions; for a run that violates them, its result is no prediction.
"""

from regress.theory.autograd import derivatives, hessian
from regress.theory.bias import intercept_bias
from regress.theory.frozen import FrozenOrder, frozen_order
from regress.theory.initial_scale import l1_epochs, l2_epochs, start_distance
from regress.theory.stability import mean_edge, mean_square_edge, normal_mean_square_edge
from regress.theory.stationary import second_moment, stationary_covariance

__all__ = [
    "FrozenOrder",
    "derivatives",
    "frozen_order",
    "hessian",
    "intercept_bias",
    "l1_epochs",
    "l2_epochs",
    "mean_edge",
    "mean_square_edge",
    "normal_mean_square_edge",
    "second_moment",
    "start_distance",
    "stationary_covariance",
]
