"""The numeric content of a table."""

from dataclasses import dataclass
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Columns:
    """The checked content of a table: features (n, F), target (n,), in the user's units."""

    features: tuple[str, ...]
    target: str
    x: Floats
    y: Floats

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits of names and values."""
        content = sha256("\0".join([*self.features, self.target]).encode())
        content.update(np.ascontiguousarray(self.x).tobytes())
        content.update(np.ascontiguousarray(self.y).tobytes())
        return content.hexdigest()[:16]
