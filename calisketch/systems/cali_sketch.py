"""Cali-Sketch's Algorithm 1 as three stages: SCN alone, ISN alone, both together.

An ISN whose generator takes colours (`boundary.colours`) is given ``batch["colours"]`` beside R in the stages
that train it; nothing else changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from ..boundary.colours import CHANNELS, over_paper
from ..checks import check_positive
from ..isn import ISN
from ..scn import SCN
from ..stage import Batch, Schedule, Stage
from .one_network import OneNetworkStage
from .system import Channels, by_stage

# The paper trains each stage until its losses plateau; the counts are upper bounds, and patience ends a stage.
PAPER_SCHEDULES = {
    "scn": Schedule(iterations=60_000, learning_rate=1e-4, patience=10),
    "isn": Schedule(iterations=60_000, learning_rate=1e-4, patience=10),
    "joint": Schedule(iterations=30_000, learning_rate=1e-5, patience=10),
}
FLOWS = ("full", "detach")
SYNTHESIS_INPUTS = ("edges", "refined")


def shown(isn: ISN, made: Batch, columns: Sequence[str]) -> Batch:
    """A preview's columns, as far as there are such images: colours, where the ISN takes them, over white paper."""
    pictures = {name: image for name, image in made.items() if name != "colours"}
    if isn.takes_colours:
        pictures["colours"] = over_paper(made["colours"])
    return {name: pictures[name] for name in columns if name in pictures}


def channels_of(isn: ISN) -> dict[str, Channels]:
    """What an ISN's networks are given and have to make, for `System.channels`."""
    networks = {"isn.generator": Channels(isn.generator, 1 + CHANNELS if isn.takes_colours else 1, 3)}
    if not isn.judged_layers:  # else D2 is given no image but features, whose channels `ISN` itself has checked
        networks["isn.discriminator"] = Channels(isn.discriminator, 3)
    return networks


class CalibrationStage(OneNetworkStage):
    """Stage 1, S -> R: supervised by the photo's contour and detail maps."""

    name = "scn"
    network = "scn"
    made = "refined"
    columns = ("sketch", "refined", "contour", "detail", "photo")

    def __init__(self, scn: SCN, schedule: Schedule):
        super().__init__(scn, schedule)
        self.discriminators = scn.discriminators

    def generate(self, batch: Batch) -> Batch:
        return {**batch, "refined": self.networks(batch["sketch"])}

    @torch.no_grad()
    def plateau_figures(self, batch: Batch) -> Tensor:
        return self.networks.plateau_figures(self.networks(batch["sketch"]), batch)


class SynthesisStage(OneNetworkStage):
    """Stage 2, R -> P: R stands for the Hadamard product of the detail and contour maps, ink = 1.

    Args:
        isn: the network that is trained.
        schedule: iterations and Adam.
        scn: None for the paper's input, the product; or the network of stage 1, which stays as it is: then R is what
            ISN will be given later, and no gap between thin products and R's soft lines is left for the joint stage.
    """

    name = "isn"
    network = "isn"
    made = "face"
    columns: tuple[str, ...] = ("refined", "colours", "contour", "detail", "photo", "face")

    def __init__(self, isn: ISN, schedule: Schedule, scn: SCN | None = None):
        super().__init__(isn, schedule)
        self.calibrate = None if scn is None else scn.forward  # no part of this stage's networks: it does not learn
        self.needs_sketch = scn is not None
        self.builds_on = () if scn is None else ("scn",)

    def generate(self, batch: Batch) -> Batch:
        if self.calibrate is None:
            refined = batch["detail"] * batch["contour"]  # ink = 1: a subset of Canny; with ink = 0 it would be a union
        else:
            with torch.no_grad():
                refined = self.calibrate(batch["sketch"])
        return {**batch, "refined": refined, "face": self.networks(refined, self.networks.colours_of(batch))}

    @torch.no_grad()
    def preview(self, batch: Batch) -> Batch:
        return shown(self.networks, self.generate(batch), self.columns)


class JointStage:
    """Stage 3, S -> R -> P: both generators in one backward pass of L_G1 + L_G2.

    Args:
        scn, isn: the two networks, trained by the stages before.
        schedule: iterations and Adam.
        flow: "full" lets ISN's loss flow into G1; "detach" stops it at R.
        calibration_weight: Eq. 4's lambda in this stage; SCN's own if None. With the paper's 10, Eq. 4 was measured
            at some thirty times Eq. 6, so that the face has little say in the strokes; with less it has more.

    Raises:
        ValueError: another flow, or a negative weight.
    """

    name = "joint"

    def __init__(
        self, scn: SCN, isn: ISN, schedule: Schedule, flow: str = "full", calibration_weight: float | None = None
    ):
        if flow not in FLOWS:
            raise ValueError(f"flow must be one of {list(FLOWS)}; got {flow!r}.")
        if calibration_weight is not None:
            check_positive("joint_calibration_weight", calibration_weight, zero=True)
        self.calibration_weight = calibration_weight
        self.scn, self.isn, self.schedule, self.flow = scn, isn, schedule, flow
        self.generators: dict[str, nn.Module] = {"scn": scn.generator, "isn": isn.generator}
        self.discriminators: dict[str, nn.Module] = {**scn.discriminators, "isn": isn.discriminator}
        self.frozen: dict[str, nn.Module] = isn.frozen

    def generate(self, batch: Batch) -> Batch:
        refined = self.scn(batch["sketch"])
        face = self.isn(refined if self.flow == "full" else refined.detach(), self.isn.colours_of(batch))
        return {**batch, "refined": refined, "face": face}

    def discriminator_losses(self, batch: Batch) -> Batch:
        return {**self.scn.discriminator_losses(batch), **self.isn.discriminator_losses(batch)}

    def generator_losses(self, batch: Batch) -> Batch:
        calibration = self.scn.generator_losses(batch, self.calibration_weight)
        return {**calibration, **self.isn.generator_losses(batch)}

    def scores(self, batch: Batch) -> Batch:
        return {**self.scn.scores(batch), **self.isn.scores(batch)}

    @torch.no_grad()
    def preview(self, batch: Batch) -> Batch:
        columns = ("sketch", "refined", "colours", "contour", "detail", "photo", "face")
        return shown(self.isn, self.generate(batch), columns)

    @torch.no_grad()
    def plateau_figure(self, batch: Batch) -> Tensor:
        return self.isn.plateau_figure(self.generate(batch)["face"], batch)


class CaliSketchSystem:
    """The two networks and the three stages of Algorithm 1.

    Args:
        scn: Stroke Calibration Network; the paper's if None.
        isn: Image Synthesis Network; the paper's if None.
        schedules: for any of "scn", "isn", "joint" what to use in place of the paper's schedule.
        flow: of the joint stage: "full" or "detach".
        synthesis_input: what stage 2 paints from: "edges", the paper's product of the edge maps, or "refined", the
            sketches as stage 1 calibrates them.
        joint_calibration_weight: Eq. 4's lambda in the joint stage; the one of SCN if None, as in the paper.

    Raises:
        ValueError: a schedule for a stage that there is not, an unknown flow or synthesis_input, or a negative weight.
    """

    name = "cali_sketch"

    def __init__(
        self,
        scn: SCN | None = None,
        isn: ISN | None = None,
        schedules: Mapping[str, Schedule] | None = None,
        flow: str = "full",
        synthesis_input: str = "edges",
        joint_calibration_weight: float | None = None,
    ):
        if synthesis_input not in SYNTHESIS_INPUTS:
            raise ValueError(f"synthesis_input must be one of {list(SYNTHESIS_INPUTS)}; got {synthesis_input!r}.")
        chosen = by_stage(PAPER_SCHEDULES, schedules)
        self.scn = SCN() if scn is None else scn
        self.isn = ISN() if isn is None else isn
        self.isn.forget_photos()
        self.stages: list[Stage] = [
            CalibrationStage(self.scn, chosen["scn"]),
            SynthesisStage(self.isn, chosen["isn"], self.scn if synthesis_input == "refined" else None),
            JointStage(self.scn, self.isn, chosen["joint"], flow, joint_calibration_weight),
        ]

    @property
    def generators(self) -> dict[str, nn.Module]:
        """G1 and G2 by the names that the stages and the model folder use."""
        return {"scn": self.scn.generator, "isn": self.isn.generator}

    @property
    def channels(self) -> dict[str, Channels]:
        return {
            "scn.generator": Channels(self.scn.generator, 1, 1),
            "scn.discriminator": Channels(self.scn.discriminator, 1),
            **channels_of(self.isn),
        }
