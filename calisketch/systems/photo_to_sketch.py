"""Photo to sketch: pix2pix trained the other way round, so that it learns a style of drawing from some fifty pairs.

The report on conditional GANs of faces (experiment 6): 48 pairs of a photo and what an artist made of it, an hour of
training, and the network draws any number of other photos in that style. Its output is one more sketch style to train
on (`sketching.LearnedStyle`). Equation numbers are pix2pix's.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from ..stage import Batch, Schedule, Stage
from .pix2pix import Pix2Pix, TranslationStage
from .system import Channels, by_stage

# pix2pix's rates. The report trains for an hour, at the speed at which its baseline does 42,000 steps in four.
PAPER_SCHEDULES = {
    "sketcher": Schedule(iterations=10_000, learning_rate=2e-4, discriminator_ratio=1.0, betas=(0.5, 0.999)),
}


class PhotoToSketch(Pix2Pix):
    """G: x (B, 3, H, W) photo -> y (B, 1, H, W) sketch, with D, which tells (x, drawing) from (x, G(x)).

    Networks, losses and arguments are `Pix2Pix`'s, with 3 channels in and 1 out. The drawing is ``batch["sketch"]``: a
    person's where the data are pairs (data=pairs), or whatever style ``data.draw`` draws; ink = 1.
    """

    name = "sketcher"
    given, wanted, made = "photo", "sketch", "drawing"
    channels = (3, 1)


class DrawingStage(TranslationStage):
    """The only stage: photo -> sketch."""

    @torch.no_grad()
    def preview(self, batch: Batch) -> Batch:
        made = self.generate(batch)
        return {"photo": made["photo"], "artist": made["sketch"], "sketch": made["drawing"]}


class PhotoToSketchSystem:
    """Photo to sketch as one stage.

    Args:
        sketcher: networks and losses; pix2pix's if None.
        schedules: for "sketcher" what to use in place of `PAPER_SCHEDULES`.

    Raises:
        ValueError: a schedule for a stage that there is not.
    """

    name = "photo_to_sketch"

    def __init__(self, sketcher: PhotoToSketch | None = None, schedules: Mapping[str, Schedule] | None = None):
        chosen = by_stage(PAPER_SCHEDULES, schedules)
        self.sketcher = PhotoToSketch() if sketcher is None else sketcher
        self.stages: list[Stage] = [DrawingStage(self.sketcher, chosen["sketcher"])]

    @property
    def generators(self) -> dict[str, nn.Module]:
        """The network that draws, by the name that a model folder has for it."""
        return {"sketcher": self.sketcher.generator}

    @property
    def channels(self) -> dict[str, Channels]:
        return {
            "sketcher.generator": Channels(self.sketcher.generator, 3, 1),
            "sketcher.discriminator": Channels(self.sketcher.discriminator, 3 + 1),
        }
