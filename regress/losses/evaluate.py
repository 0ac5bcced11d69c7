"""Evaluation of psi on NumPy arrays, compiled if the loss has a scalar form, else by torch."""

import numpy as np
import torch
from numpy.typing import NDArray

from regress.kernels.compiler import load_elementwise
from regress.losses.loss import Loss

Floats = NDArray[np.float64]


def evaluate_psi(loss: Loss, residuals: Floats, scale: float = 1.0) -> Floats:
    """Return s psi(u / s) at residuals u (n,), where s is `scale` for scaled losses and 1 for others."""
    s = scale if loss.is_scaled else 1.0
    u = np.ascontiguousarray(residuals) / s
    form = loss.scalar_form
    compiled = load_elementwise(form.psi, len(loss.constants), "float64") if form else None
    if compiled is None:
        return np.asarray(s * loss.psi(torch.from_numpy(u)).numpy())
    compiled(u, len(u), np.array(loss.constants))
    return s * u
