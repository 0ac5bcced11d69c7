"""Digests of parameter vectors, by which reruns compare bits."""

import numpy as np
import torch
from numpy.typing import NDArray


def digest_parameters(params: torch.Tensor) -> NDArray[np.str_]:
    """Return sixteen hexadecimal digits (...) for the bits of each parameter vector (..., P).

    Words are mixed in one after another by the finaliser of SplitMix64 (Steele, Lea, Flood 2014).
    """
    values = params.contiguous().numpy()
    words = values.view(np.uint32 if values.itemsize == 4 else np.uint64).astype(np.uint64)
    digest = np.zeros(values.shape[:-1], np.uint64)
    for p in range(values.shape[-1]):
        digest = _mix((digest ^ words[..., p]) + np.uint64(0x9E3779B97F4A7C15))
    digits = digest.astype(">u8").tobytes().hex()
    # All digests are converted in one call: one by one the conversion takes longer than the digests.
    return np.frombuffer(digits.encode(), "S16").astype(str).reshape(digest.shape)


def _mix(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
