"""Pictures that the style tests draw from: made here, no research image."""

from __future__ import annotations

import pytest
from drawn_faces import drawn_faces
from torch import Tensor


@pytest.fixture(scope="session")
def small_faces() -> Tensor:
    """Four crude faces, (4, 3, 64, 64): where the picture does not matter."""
    return drawn_faces(4, 64)


@pytest.fixture(scope="session")
def faces() -> Tensor:
    """Four crude faces, (4, 3, 128, 128)."""
    return drawn_faces(4, 128)
