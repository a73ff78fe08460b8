"""Faces in general: Cali-Sketch's stages with a painter of faces in ISN's place, and a stage for its colour plans.

SCN alone, the painter alone, the plans, then SCN and the painter end to end (Algorithm 1). The painter paints from
R_t = (1 - t) S + t R with t drawn uniformly for each sketch, so that any strength of calibration works in use.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ..checks import check_positive
from ..networks import PlanFlow
from ..networks.plan_flow import matching_loss
from ..scn import SCN
from ..stage import Batch, Schedule, Stage
from .cali_sketch import CalibrationStage
from .colour_plans import ColourPlans, whole_plan
from .face_painter import FacePainter
from .system import Channels, by_stage

SCHEDULES = {
    "scn": Schedule(iterations=60_000, learning_rate=1e-4, patience=10),
    "isn": Schedule(iterations=100_000, learning_rate=4e-4, discriminator_ratio=1.0, betas=(0.5, 0.99), decay=0.2),
    "plan": Schedule(iterations=5_000, learning_rate=6e-4, betas=(0.9, 0.99), decay=0.4),
    "joint": Schedule(iterations=10_000, learning_rate=1e-4, discriminator_ratio=1.0, betas=(0.5, 0.99), decay=0.5),
}
SYNTHESIS_INPUTS = ("refined", "edges", "sketch")
_SHOWN = ("sketch", "refined", "colours", "photo", "face", "face_without_plan")


def mixed(sketch: Tensor, refined: Tensor, strength: Tensor | float) -> Tensor:
    """R_t = S + t (R - S). sketch, refined: (B, 1, H, W). strength: t, (B, 1, 1, 1) or a number in [0, 1]."""
    return sketch + strength * (refined - sketch)


class Calibrated:
    """R for stages that do not train SCN.

    Args:
        source: "refined", as SCN calibrates the sketches; "edges", the product of the photo's detail and contour maps,
            a stand-in until there is an SCN whose strokes are as thin; or "sketch", R = S.
        scn: which stays as it is.

    Raises:
        ValueError: another source.
    """

    def __init__(self, source: str, scn: SCN):
        if source not in SYNTHESIS_INPUTS:
            raise ValueError(f"synthesis_input must be one of {list(SYNTHESIS_INPUTS)}; got {source!r}.")
        self.source = source
        self.calibrate = scn.forward
        self.builds_on = ("scn",) if source == "refined" else ()

    @torch.no_grad()
    def __call__(self, batch: Batch) -> Tensor:
        """(B, 1, H, W) float32, ink = 1."""
        if self.source == "refined":
            return self.calibrate(batch["sketch"]).float()
        return batch["sketch"] if self.source == "sketch" else batch["detail"] * batch["contour"]


class _Painting:
    """What the two stages that paint share: the painter's losses, its figures and its pictures."""

    name: str
    painter: FacePainter

    def strokes(self, batch: Batch, strength: Tensor | float) -> Batch:
        raise NotImplementedError

    def generate(self, batch: Batch) -> Batch:
        drawn = torch.rand(len(batch["sketch"]), 1, 1, 1, device=batch["sketch"].device)
        made = self.strokes(batch, drawn)
        return {**made, "face": self.painter(made["refined"], self.painter.plan_of(batch))}

    def discriminator_losses(self, batch: Batch) -> Batch:
        return self.painter.discriminator_losses(batch)

    def generator_losses(self, batch: Batch) -> Batch:
        return self.painter.generator_losses(batch)

    def scores(self, batch: Batch) -> Batch:
        return self.painter.scores(batch)

    @torch.no_grad()
    def preview(self, batch: Batch) -> Batch:
        made = self.strokes(batch, 0.5)
        plan = whole_plan(batch["photo"])
        colours = nn.functional.interpolate(plan[:, :3] + 0.5, size=batch["photo"].shape[-2:], mode="nearest")
        faces = {"face": self.painter(made["refined"], plan), "face_without_plan": self.painter(made["refined"])}
        shown = {**made, **faces, "colours": colours}
        return {name: shown[name] for name in _SHOWN if name in shown}

    @torch.no_grad()
    def figures(self, batch: Batch) -> Batch:
        """Of faces at strength 0.5, with the photo's plan and (names that begin with ``without_plan_``) with none.

        ``plateau`` is the mean of both LPIPS and of both LPIPS of eyes and mouth.
        """
        made = self.strokes(batch, 0.5)
        found: Batch = {}
        for prefix, plan in (("", whole_plan(batch["photo"])), ("without_plan_", None)):
            face = self.painter(made["refined"], plan)
            found |= {f"{prefix}{name}": value for name, value in self.painter.figures(face, batch).items()}
            if plan is not None:
                found |= self.painter.verdicts({**made, "face": face})
        parts = [found[f"{prefix}{name}"] for prefix in ("", "without_plan_") for name in _PLATEAU]
        return {"plateau": torch.stack(parts).mean(), **found}

    @torch.no_grad()
    def plateau_figure(self, batch: Batch) -> Tensor:
        return self.figures(batch)["plateau"]


_PLATEAU = ("lpips", "lpips_eyes", "lpips_mouth")


class PaintingStage(_Painting):
    """Stage 2: the painter alone, from R_t; SCN stays as it is."""

    name = "isn"
    needs_sketch = True

    def __init__(self, painter: FacePainter, schedule: Schedule, calibrated: Calibrated):
        self.painter, self.schedule, self.calibrated = painter, schedule, calibrated
        self.builds_on = calibrated.builds_on
        self.generators: dict[str, nn.Module] = {"isn": painter.generator}
        self.discriminators: dict[str, nn.Module] = {"isn": painter.discriminator}
        self.frozen: dict[str, nn.Module] = painter.frozen

    def strokes(self, batch: Batch, strength: Tensor | float) -> Batch:
        return {**batch, "refined": mixed(batch["sketch"], self.calibrated(batch), strength)}


class PlanStage:
    """The plans: a flow of the photo's 8 x 8 colours, given R_t; now and then a part of them is given."""

    name = "plan"

    def __init__(self, plan: PlanFlow, schedule: Schedule, calibrated: Calibrated, given: ColourPlans | None = None):
        self.plan, self.schedule, self.calibrated = plan, schedule, calibrated
        self.builds_on = calibrated.builds_on
        self.given = ColourPlans(absent=0.7, partial=0.3, coarse=0.0, noise=0.0) if given is None else given
        self.generators: dict[str, nn.Module] = {"plan": plan}
        self.discriminators: dict[str, nn.Module] = {}
        self.frozen: dict[str, nn.Module] = {}

    def generate(self, batch: Batch) -> Batch:
        strength = torch.rand(len(batch["sketch"]), 1, 1, 1, device=batch["sketch"].device)
        return {**batch, "refined": self._strokes(batch, strength), "given": self.given(batch["photo"])}

    def discriminator_losses(self, batch: Batch) -> Batch:
        return {}

    def generator_losses(self, batch: Batch) -> Batch:
        return {"plan/flow": matching_loss(self.plan, batch["refined"], whole_plan(batch["photo"]), batch["given"])}

    def scores(self, batch: Batch) -> Batch:
        return {}

    @torch.no_grad()
    def preview(self, batch: Batch) -> Batch:
        strokes = self._strokes(batch, 0.5)
        plans = {"likeliest": self.plan.likeliest(strokes)}
        plans |= {f"seed_{seed}": self.plan.drawn(strokes, seed) for seed in (1, 2, 3)}
        side = batch["photo"].shape[-2:]
        pictures = {
            name: nn.functional.interpolate(plan[:, :3] + 0.5, size=side, mode="nearest")
            for name, plan in plans.items()
        }
        return {"sketch": batch["sketch"], **pictures, "photo": batch["photo"]}

    @torch.no_grad()
    def plateau_figure(self, batch: Batch) -> Tensor:
        """Mean |likeliest plan - photo's plan|, colours in [0, 1]."""
        plan = self.plan.likeliest(self._strokes(batch, 0.5))
        return (plan - whole_plan(batch["photo"]))[:, :3].abs().mean()

    def _strokes(self, batch: Batch, strength: Tensor | float) -> Tensor:
        return mixed(batch["sketch"], self.calibrated(batch), strength)


class JointFacesStage(_Painting):
    """Stage 3, S -> R_t -> P: SCN and the painter in one backward pass of L_G1 + L_G2.

    calibration_weight: Eq. 4's lambda in this stage; SCN's own if None.
    """

    name = "joint"

    def __init__(self, scn: SCN, painter: FacePainter, schedule: Schedule, calibration_weight: float | None = None):
        if calibration_weight is not None:
            check_positive("joint_calibration_weight", calibration_weight, zero=True)
        self.scn, self.painter, self.schedule = scn, painter, schedule
        self.calibration_weight = calibration_weight
        self.generators: dict[str, nn.Module] = {"scn": scn.generator, "isn": painter.generator}
        self.discriminators: dict[str, nn.Module] = {"scn": scn.discriminator, "isn": painter.discriminator}
        self.frozen: dict[str, nn.Module] = painter.frozen

    def strokes(self, batch: Batch, strength: Tensor | float) -> Batch:
        calibrated = self.scn(batch["sketch"])
        return {**batch, "calibrated": calibrated, "refined": mixed(batch["sketch"], calibrated, strength)}

    def discriminator_losses(self, batch: Batch) -> Batch:
        return {**self.scn.discriminator_losses(_calibrated(batch)), **self.painter.discriminator_losses(batch)}

    def generator_losses(self, batch: Batch) -> Batch:
        calibration = self.scn.generator_losses(_calibrated(batch), self.calibration_weight)
        return {**calibration, **self.painter.generator_losses(batch)}

    def scores(self, batch: Batch) -> Batch:
        return {**self.scn.scores(_calibrated(batch)), **self.painter.scores(batch)}


def _calibrated(batch: Batch) -> Batch:
    """The batch as SCN's losses take it: R itself, not R_t."""
    return {**batch, "refined": batch["calibrated"]}


class FacesSystem:
    """SCN, the painter and its plans, as the stages "scn", "isn", "plan" and "joint".

    Args:
        scn: Stroke Calibration Network; the paper's if None.
        painter: generator, discriminator and losses; `FacePainter`'s own if None.
        plan: the network that draws colour plans; a `PlanFlow` if None.
        schedules: for any of the stages what to use in place of `SCHEDULES`.
        synthesis_input: what R is in "isn" and "plan": "refined", "edges" or "sketch" (see `Calibrated`).
        joint_calibration_weight: Eq. 4's lambda in the joint stage; SCN's own if None.

    Raises:
        ValueError: a schedule for a stage that there is not, an unknown synthesis_input, or a negative weight.
    """

    name = "faces"

    def __init__(
        self,
        scn: SCN | None = None,
        painter: FacePainter | None = None,
        plan: PlanFlow | None = None,
        schedules: Mapping[str, Schedule] | None = None,
        synthesis_input: str = "refined",
        joint_calibration_weight: float | None = 1.0,
    ):
        chosen = by_stage(SCHEDULES, schedules)
        self.scn = SCN() if scn is None else scn
        self.painter = FacePainter() if painter is None else painter
        self.plan = PlanFlow() if plan is None else plan
        calibrated = Calibrated(synthesis_input, self.scn)
        self.stages: list[Stage] = [
            CalibrationStage(self.scn, chosen["scn"]),
            PaintingStage(self.painter, chosen["isn"], calibrated),
            PlanStage(self.plan, chosen["plan"], calibrated),
            JointFacesStage(self.scn, self.painter, chosen["joint"], joint_calibration_weight),
        ]

    @property
    def generators(self) -> dict[str, nn.Module]:
        """G1, G2 and the network of plans, by the names that the stages and the model folder use."""
        return {"scn": self.scn.generator, "isn": self.painter.generator, "plan": self.plan}

    @property
    def channels(self) -> dict[str, Channels]:
        return {
            "scn.generator": Channels(self.scn.generator, 1, 1),
            "scn.discriminator": Channels(self.scn.discriminator, 1),
            "painter.generator": Channels(self.painter.generator, 1, 3),
        }
