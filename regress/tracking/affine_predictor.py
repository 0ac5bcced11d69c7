"""The prediction code that is saved with a registered model; it needs NumPy and MLflow's pandas only.

MLflow imports this file under its own name from the model's folder, where `regress` is not installed.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class AffinePredictor:
    """The prediction target = features . coefficients + intercept."""

    features: list[str]
    target: str
    coefficients: list[float]
    intercept: float

    def predict(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return the target's column (n rows) for rows with the columns `features`; others are ignored."""
        predicted = np.full(len(rows), self.intercept)
        # Term by term: the rounding of a dot product may depend on how many rows it is computed with.
        for feature, coefficient in zip(self.features, self.coefficients, strict=True):
            predicted += coefficient * rows[feature].to_numpy(np.float64)
        return pd.DataFrame({self.target: predicted}, index=rows.index)


def _load_pyfunc(path: str) -> AffinePredictor:
    """Return the predictor that the JSON file `path` describes; MLflow's entry point."""
    return AffinePredictor(**json.loads(Path(path).read_text()))
