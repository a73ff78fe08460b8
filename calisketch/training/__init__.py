"""The engine that trains any list of stages: one loop, resumable, seeded, distributed."""

from __future__ import annotations

from .checkpoint import CheckpointError
from .engine import Engine, OutOfMemory
from .interruption import Interrupted
from .processes import ProcessLost
from .step import NonFiniteLoss

__all__ = ["CheckpointError", "Engine", "Interrupted", "NonFiniteLoss", "OutOfMemory", "ProcessLost"]
