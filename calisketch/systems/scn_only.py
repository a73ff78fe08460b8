"""SCN without ISN: the Stroke Calibration Network alone, for models that only calibrate sketches."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from ..scn import SCN
from ..stage import Schedule, Stage
from .cali_sketch import PAPER_SCHEDULES, CalibrationStage
from .system import Channels, by_stage

SCHEDULES = {"scn": PAPER_SCHEDULES["scn"]}


class SCNOnlySystem:
    """Cali-Sketch's first stage by itself.

    Args:
        scn: Stroke Calibration Network; the paper's if None.
        schedules: for "scn" what to use in place of the paper's.

    Raises:
        ValueError: a schedule for a stage that there is not.
    """

    name = "scn_only"

    def __init__(self, scn: SCN | None = None, schedules: Mapping[str, Schedule] | None = None):
        chosen = by_stage(SCHEDULES, schedules)
        self.scn = SCN() if scn is None else scn
        self.stages: list[Stage] = [CalibrationStage(self.scn, chosen["scn"])]

    @property
    def generators(self) -> dict[str, nn.Module]:
        """G1 by the name that the stage and the model folder use."""
        return {"scn": self.scn.generator}

    @property
    def channels(self) -> dict[str, Channels]:
        return {
            "scn.generator": Channels(self.scn.generator, 1, 1),
            "scn.discriminator": Channels(self.scn.discriminator, 1),
        }
