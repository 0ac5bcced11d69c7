"""What travels with a registered model and predicts: NumPy, and pandas, which MLflow brings along.

MLflow imports this file under its own name from the model's folder, where nothing else of `regress` is.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class AffinePredictor:
    """target = features . coefficients + intercept."""

    features: list[str]
    target: str
    coefficients: list[float]
    intercept: float

    def predict(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The target's column (n rows) for rows with the columns `features`, whatever else they hold."""
        predicted = np.full(len(rows), self.intercept)
        # Term by term, not a dot product, whose rounding may depend on the rows beside.
        for feature, coefficient in zip(self.features, self.coefficients, strict=True):
            predicted += coefficient * rows[feature].to_numpy(np.float64)
        return pd.DataFrame({self.target: predicted}, index=rows.index)


def _load_pyfunc(path: str) -> AffinePredictor:
    """MLflow's way in; `path` holds the fields as JSON."""
    return AffinePredictor(**json.loads(Path(path).read_text()))
