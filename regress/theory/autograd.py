"""First and second derivatives of functions, and the Hessian of the mean loss, by torch.autograd."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from regress.losses import Loss
from regress.problems.model import Model

Floats = NDArray[np.float64]


def derivatives(f: Callable[[torch.Tensor], torch.Tensor], x: Floats) -> tuple[Floats, Floats]:
    """Return the first and second derivatives (n,) of an elementwise function f at points x (n,).

    Both are in float64. The first derivative is computed with `create_graph`, so that it can be
    differentiated again.
    """
    points = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    (first,) = torch.autograd.grad(f(points).sum(), points, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), points)
    return first.detach().numpy(), second.numpy()


def hessian(model: Model, loss: Loss, x: Floats, y: Floats, w: Floats) -> Floats:
    """Return the Hessian (P, P) of the mean of rho over rows x (n, F), y (n,), at parameters w (P,).

    For squared loss on an affine model it is Z'Z / n, where Z holds the features and a column of ones.
    """
    rows = model.table(x[None], y[None], torch.float64)
    leaf = torch.tensor(w, dtype=torch.float64, requires_grad=True)
    risk = loss.rho(model.residual(rows, model.state(leaf.view(1, -1, 1)))).mean()
    (gradient,) = torch.autograd.grad(risk, leaf, create_graph=True)
    columns = [torch.autograd.grad(g, leaf, retain_graph=True)[0] for g in gradient]
    return torch.stack(columns).numpy()
