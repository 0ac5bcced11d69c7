"""Losses as pure elementwise functions of the residual u = prediction - target."""

from regress.losses.convex import L1, L2, Fair, Huber, LogCosh, PseudoHuber, Quantile, SmoothL1
from regress.losses.loss import Loss, ScalarForm, Tuned, scaled_psi, scaled_rho
from regress.losses.redescending import Cauchy, GemanMcClure, Tukey, Welsch
from regress.values.registry import Registry, load_registry

LOSSES: Registry[Loss] = load_registry(
    Loss,
    "losses",
    [
        L2,
        L1,
        Huber,
        SmoothL1,
        PseudoHuber,
        LogCosh,
        Fair,
        Quantile,
        Cauchy,
        Welsch,
        GemanMcClure,
        Tukey,
    ],
)

__all__ = [
    "L1",
    "L2",
    "LOSSES",
    "Cauchy",
    "Fair",
    "GemanMcClure",
    "Huber",
    "LogCosh",
    "Loss",
    "PseudoHuber",
    "Quantile",
    "ScalarForm",
    "SmoothL1",
    "Tukey",
    "Tuned",
    "Welsch",
    "scaled_psi",
    "scaled_rho",
]
