"""Surrogates: models by whose residuals an adversarial order sorts the rows."""

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from regress.fleet import Lane, Schedule, train
from regress.losses import L2
from regress.numerics import streams
from regress.problems.data import Data
from regress.problems.model import Model

Floats = NDArray[np.float64]
Surrogate = Literal["ols", "oracle", "trained", "self"]

_LR, _BATCH_SIZE = 0.03, 32


def compute_residuals(surrogate: Surrogate, data: Data, model: Model, seed: int) -> Floats:
    """Return prediction minus target (R, n) on the training rows, which may be contaminated.

    The surrogate is the least-squares fit to them (`ols`), the generating parameters (`oracle`), or a model
    trained on them for one epoch (`trained`). With `self` models sort during training instead.
    """
    fits = {"ols": _fit_least_squares, "oracle": _read_truth, "trained": _train}
    return np.asarray(model.predict(data.train_x, fits[surrogate](data, model, seed)) - data.train_y)


def _fit_least_squares(data: Data, model: Model, seed: int) -> Floats:
    return model.least_squares(data.train_x, data.train_y)


def _read_truth(data: Data, model: Model, seed: int) -> Floats:
    assert data.truth is not None, (
        "a study refuses surrogate=oracle for a problem without generating parameters"
    )
    return data.truth


def _train(data: Data, model: Model, seed: int) -> Floats:
    """Train from zero for one shuffled epoch by squared loss, lr .03, batches of 32, in float64.

    This is the black-box attack of Shumailov et al. (2021): the adversary sees the data, not the models. If
    the surrogate diverges, all scores are nan and the rows stay as they are stored.
    """
    order = [streams.permutation(data.rows, seed, "surrogate", r) for r in data.indices]
    trajectory = train(
        model,
        model.table(data.train_x, data.train_y, torch.float64),
        np.stack(order)[:, None],
        np.zeros((1, data.replicates, model.parameters)),
        [Lane(L2(), _LR)],
        Schedule(min(_BATCH_SIZE, data.rows), "mean", "weight"),
    )
    return trajectory.params[0, 0].numpy()
