"""Planck's law: a temperature estimated by SGD on the law.

B(lambda, T) = (2 h c**2 / lambda**5) / (exp(h c / (lambda k T)) - 1), in W sr-1 m-3.
"""

from dataclasses import dataclass as plain_dataclass
from typing import Annotated, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass
from scipy.optimize import least_squares

from regress.numerics import streams
from regress.problems.data import Data
from regress.problems.model import Model, Psi, check_targets, sum_rows
from regress.problems.problem import Problem
from regress.values.text import STRICT

Floats = NDArray[np.float64]
Curve = tuple[torch.Tensor, torch.Tensor, torch.Tensor]

C = 299792458.0  # speed of light, m/s
H = 6.6260701e-34  # Planck's constant, J s, with the digits of the notebook
K = 1.380649e-23  # Boltzmann's constant, J/K

# Wavelengths of the notebook in metres: 1,000 for training, the others for validation.
WAVELENGTHS: Floats = np.arange(300.0, 2000.0) * 1e-9
TRAIN_ROWS = 1000


def radiance(wavelength: Floats, temperature: Floats | float) -> Floats:
    """Return spectral radiance in W sr-1 m-3 for wavelengths in metres and temperatures in kelvin."""
    x = H * C / (wavelength * K * temperature)
    # 1 / (exp(x) - 1) could overflow.
    return np.asarray(2 * H * C**2 / wavelength**5 * np.exp(-x) / -np.expm1(-x))


@plain_dataclass(frozen=True)
class PlanckModel(Model):
    """One parameter: T in kelvin, or log T where `is_scaled`; intensities in units of `unit`."""

    is_scaled: bool
    unit: float

    @property
    def parameters(self) -> int:
        return 1

    @property
    def draws(self) -> int:
        return 0

    def start(self, sigmas: Floats, draws: Floats) -> Floats:
        """Return `sigma` as the initial temperature in kelvin; nothing is random."""
        return self.parameter(sigmas)[..., None]

    def parameter(self, temperature: Floats) -> Floats:
        """Return the parameter of a temperature in kelvin."""
        return np.log(temperature) if self.is_scaled else np.asarray(temperature)

    def temperature(self, parameter: Floats) -> Floats:
        """Return the temperature in kelvin of a parameter."""
        return np.exp(parameter) if self.is_scaled else parameter

    def table(self, x: Floats, y: Floats, dtype: torch.dtype) -> torch.Tensor:
        """Return columns h c / (lambda k) in kelvin, 2 h c**2 / lambda**5 in `unit`, minus the intensity.

        Wavelengths that are not positive have no radiance: their columns are nan, and a model that visits
        them becomes non-finite.
        """
        check_targets(x, y)
        wavelength = np.where(x[..., 0] > 0, x[..., 0], np.nan)
        with np.errstate(over="ignore", divide="ignore"):
            columns = [H * C / (wavelength * K), 2 * H * C**2 / wavelength**5 / self.unit, -y]
        return torch.from_numpy(np.stack(columns, axis=-1)).to(dtype)

    def predict(self, x: Floats, params: Floats) -> Floats:
        return radiance(x[..., 0], self.temperature(params)) / self.unit

    def least_squares(self, x: Floats, y: Floats) -> Floats:
        fits = [self._least_squares(x[place], y[place]) for place in np.ndindex(y.shape[:-1])]
        return np.reshape(fits, (*y.shape[:-1], 1))

    def _least_squares(self, x: Floats, y: Floats) -> Floats:
        """Fit log T to one replicate (n, F), (n,), starting from Wien's displacement law."""
        guess = 2.897771955e-3 / x[y.argmax(), 0]
        peak = y.max()

        def residual(log_t: Floats) -> Floats:
            return np.asarray((radiance(x[:, 0], np.exp(log_t)) / self.unit - y) / peak)

        fit = least_squares(residual, [np.log(guess)], xtol=1e-15, ftol=1e-15, gtol=1e-15)
        return self.parameter(np.exp(fit.x))

    def residual(self, rows: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        _, intensity, _ = self._curve(rows, state)
        return intensity + rows[..., 2:]

    def pullback(self, rows: torch.Tensor, state: torch.Tensor, psi: torch.Tensor) -> torch.Tensor:
        return self._pullback(self._curve(rows, state), state, psi)

    def gradient(self, rows: torch.Tensor, state: torch.Tensor, psi: Psi) -> torch.Tensor:
        """Return the gradient like the base class, evaluating the curve once."""
        curve = self._curve(rows, state)
        return self._pullback(curve, state, psi(curve[1] + rows[..., 2:]))

    def _pullback(self, curve: Curve, state: torch.Tensor, psi: torch.Tensor) -> torch.Tensor:
        """Return the gradient; dB/dT = B x / (T (1 - exp(-x))) with x = h c / (lambda k T)."""
        x, intensity, rest = curve
        slope = intensity * x / rest
        if not self.is_scaled:
            slope = slope / state
        return sum_rows(psi * slope)

    def _curve(self, rows: torch.Tensor, state: torch.Tensor) -> Curve:
        """Return x, the intensity and 1 - exp(-x), each (G, b, T)."""
        temperature = state.exp() if self.is_scaled else state
        # A model with a temperature below 0 becomes non-finite.
        temperature = torch.where(temperature > 0, temperature, torch.nan)
        x = rows[..., :1] / temperature
        rest = -torch.expm1(-x)
        return x, rows[..., 1:2] * torch.exp(-x) / rest, rest


@dataclass(frozen=True, config=STRICT)
class Planck(Problem):
    """Intensities of a body at `temperature` kelvin, multiplied by 1 + u, u ~ U(0, noise), per replicate.

    As in the notebook, intensities are in W sr-1 m-3 and the parameter is T in kelvin, which needs learning
    rates of about 1e-21. With `form=scaled`, intensities are in units of the largest at `temperature` and
    the parameter is log T, so that learning rates have ordinary sizes. In both forms `sigma` of a trial is
    its initial temperature in kelvin.
    """

    name = "planck"
    temperature: Annotated[float, Field(gt=0)] = 5020.0
    noise: Annotated[float, Field(ge=0)] = 0.05
    form: Literal["raw", "scaled"] = "raw"

    @property
    def train_rows(self) -> int:
        return TRAIN_ROWS

    @property
    def parameter_names(self) -> tuple[str, ...]:
        return ("T",)

    @property
    def model(self) -> PlanckModel:
        if self.form == "raw":
            return PlanckModel(is_scaled=False, unit=1.0)
        return PlanckModel(is_scaled=True, unit=float(radiance(WAVELENGTHS, self.temperature).max()))

    def draw(self, seed: int, replicates: int, first: int = 0) -> Data:
        indices = range(first, first + replicates)
        u = [self.noise * streams.uniforms(1, seed, "train/noise", r)[0] for r in indices]
        clean = radiance(WAVELENGTHS, self.temperature) / self.model.unit
        y = np.outer(1 + np.array(u), clean)
        x = np.broadcast_to(WAVELENGTHS[:, None], (replicates, len(WAVELENGTHS), 1))
        truth = self.model.parameter(np.full((replicates, 1), self.temperature))
        return Data(
            train_x=x[:, :TRAIN_ROWS],
            train_y=y[:, :TRAIN_ROWS],
            val_x=x[:, TRAIN_ROWS:],
            val_y=y[:, TRAIN_ROWS:],
            truth=truth,
            contaminated=np.zeros((replicates, TRAIN_ROWS), bool),
            first=first,
        )

    @property
    def has_real_features(self) -> bool:
        return False  # wavelengths are positive

    def refuse_start(self, sigma: float) -> str | None:
        return None if sigma > 0 else f"{sigma:g} is no initial temperature in kelvin, expected one above 0"

    def in_user_units(self, params: Floats) -> Floats:
        return self.model.temperature(params)
