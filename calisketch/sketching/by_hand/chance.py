"""Random numbers for drawings: the same on every machine, with every version of NumPy and PyTorch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]


class Chance:
    """A stream of random numbers from one seed.

    It takes the raw 64 bits of PCG64, which NumPy promises never to change, and not `numpy.random.Generator`, whose
    numbers may change with a version.

    seed: at least 0; `sketching.styles.sample_seed` makes one of (seed, epoch, index).
    """

    def __init__(self, seed: int) -> None:
        self._bits = np.random.PCG64(seed)

    def uniforms(self, *shape: int) -> Numbers:
        """Uniform numbers in [0, 1), of the given shape."""
        raw = np.asarray(self._bits.random_raw(int(np.prod(shape))), dtype=np.uint64)
        return ((raw >> np.uint64(11)) * 2.0**-53).reshape(shape)

    def normals(self, *shape: int) -> Numbers:
        """Numbers of mean 0 and variance 1, nearly normal (the sum of four uniform ones), within 3.5."""
        return (self.uniforms(4, *shape).sum(0) - 2.0) * np.sqrt(3.0)

    def between(self, low: float, high: float) -> float:
        """One number, uniform in [low, high)."""
        return low + (high - low) * float(self.uniforms(1)[0])

    def happens(self, probability: float) -> bool:
        """True with this probability. One number is used up in any case."""
        return float(self.uniforms(1)[0]) < probability

    def of(self, choices: Sequence[str]) -> str:
        """One of them, all alike."""
        return choices[int(float(self.uniforms(1)[0]) * len(choices))]
