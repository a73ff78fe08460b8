"""ISN without SCN: the Image Synthesis Network trained on sketches as they are, by the same loss (Eq. 6).

What the calibration of the strokes is worth is the difference between this and Cali-Sketch.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from ..isn import ISN
from ..stage import Batch, Schedule, Stage
from .cali_sketch import SynthesisStage, channels_of
from .system import Channels, by_stage

# The steps of Cali-Sketch's three stages together, at the rates of its second one.
SCHEDULES = {"isn": Schedule(iterations=150_000, learning_rate=1e-4, patience=10)}


class UncalibratedStage(SynthesisStage):
    """S -> P: Cali-Sketch's second stage, fed with the sketch instead of edge maps."""

    columns = ("sketch", "colours", "photo", "face")

    def __init__(self, isn: ISN, schedule: Schedule):
        super().__init__(isn, schedule)
        self.needs_sketch = True

    def generate(self, batch: Batch) -> Batch:
        return {**batch, "face": self.networks(batch["sketch"], self.networks.colours_of(batch))}


class ISNOnlySystem:
    """ISN without SCN as one stage.

    Args:
        isn: Image Synthesis Network; the paper's if None.
        schedules: for "isn" what to use in place of `SCHEDULES`.

    Raises:
        ValueError: a schedule for a stage that there is not.
    """

    name = "isn_only"

    def __init__(self, isn: ISN | None = None, schedules: Mapping[str, Schedule] | None = None):
        chosen = by_stage(SCHEDULES, schedules)
        self.isn = ISN() if isn is None else isn
        self.isn.forget_photos()
        self.stages: list[Stage] = [UncalibratedStage(self.isn, chosen["isn"])]

    @property
    def generators(self) -> dict[str, nn.Module]:
        """G2 by the name that the stage and the model folder use."""
        return {"isn": self.isn.generator}

    @property
    def channels(self) -> dict[str, Channels]:
        return channels_of(self.isn)
