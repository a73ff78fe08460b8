"""One stage of a run, from where it stands to its end: the training loop."""

from __future__ import annotations

import time
import warnings
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch.utils.data import Dataset, Subset

from ..stage import Batch, Stage
from .batches import Draw, TrainingBatches, validation_batches
from .checkpoint import save_checkpoint
from .ema import Ema
from .interruption import Interrupted, StopSignals
from .logging import Logs
from .settings import Settings
from .state import RunState
from .step import AdversarialStep, StepReport, check_finite
from .validation import plateau_figure, preview_grid, save_picture

LOW_DISCRIMINATOR_LOSS = 1e-2
LOW_FOR_STEPS = 200


class StageBatches:
    """What a stage is trained, judged and pictured on.

    Attributes:
        train: the training batches.
        validation: all validation samples, empty if there are none.
        pictured: the first few of them (of the training samples if there are none), for the grid.
    """

    def __init__(
        self,
        stage: Stage,
        train: Dataset[Any],
        validation: Dataset[Any] | None,
        draw: Draw | None,
        settings: Settings,
        fabric: Fabric,
    ) -> None:
        draw = draw if getattr(stage, "needs_sketch", True) else None
        self.train = TrainingBatches(
            train,
            draw,
            batch_size=settings.batch_size,
            accumulate=settings.accumulate,
            seed=settings.seed,
            device=fabric.device,
            channels_last=settings.channels_last,
            workers=settings.workers,
            rank=fabric.global_rank,
            processes=fabric.world_size,
        )

        def fixed(dataset: Dataset[Any], batch_size: int) -> list[Batch]:
            return validation_batches(
                dataset,
                draw,
                batch_size=batch_size,
                first_index=_count(train),
                device=fabric.device,
                channels_last=settings.channels_last,
            )

        self.validation = (
            fixed(validation, settings.batch_size) if validation is not None and _count(validation) else []
        )
        shown: Any = validation if _count(validation) else train
        rows = min(settings.preview_samples, len(shown))
        self.pictured = fixed(Subset(shown, range(rows)), rows)[0]


class StageRun:
    """Runs one stage.

    Args:
        stage: what is trained.
        state: the run's; restored or new.
        batches: the stage's.
        settings: the engine's.
        fabric: launched.
        logs: where figures and pictures go.
        stop: whether a signal asks for an end.
        run_dir: for checkpoints and previews.
    """

    def __init__(
        self,
        stage: Stage,
        state: RunState,
        batches: StageBatches,
        *,
        settings: Settings,
        fabric: Fabric,
        logs: Logs,
        stop: StopSignals,
        run_dir: Path,
    ) -> None:
        self.stage, self.state, self.batches = stage, state, batches
        self.settings, self.fabric, self.logs, self.stop, self.run_dir = settings, fabric, logs, stop, run_dir
        state.begin(stage)
        self.step = AdversarialStep(fabric, stage, state.scaler)
        state.adopt(self.step)
        self.low_steps: dict[str, int] = {}  # steps in a row, by discriminator
        self.logged_step, self.logged_time = state.step, time.monotonic()

    def run(self) -> None:
        """Steps until the iterations are done or the plateau is reached.

        Raises:
            NonFiniteLoss: a term stopped being a number; nothing was saved since.
            Interrupted: a signal asked for it; everything is saved.
        """
        state, stage, settings = self.state, self.stage, self.settings
        self.logs.terminal.begin(stage.name, stage.schedule.iterations, state.step)
        for module in (*stage.generators.values(), *stage.discriminators.values()):
            module.train()
        batches = self.batches.train.from_step(state.step)
        over = state.step >= stage.schedule.iterations
        waiting: tuple[StepReport, int] | None = None
        while not over:
            report = self.step(next(batches))
            state.advance(stage)
            over = state.step >= stage.schedule.iterations
            logged = over or state.step == 1 or self._due(settings.log_every)
            validated = over or self._due(settings.validate_every)
            pictured = over or self._due(settings.preview_every)
            saved = self._due(settings.checkpoint_every)
            stopped = not over and self._stopped()
            if waiting is not None:
                self.examine(*waiting)
            # A report of this step is not read yet on a GPU, which would wait for it, but after the next step's launch.
            waiting = (report, state.step)
            if self.fabric.device.type == "cpu" or logged or validated or pictured or saved or stopped:
                self.examine(*waiting)
                waiting = None
            if logged:
                self.log(report)
            self.logs.terminal.advance()
            if validated and self.batches.validation:
                over = self.validate() or over
            if pictured or over:
                self.picture()
            if stopped and not over:
                self._end_early()
            if saved and not over:
                self.save()
        self.logs.terminal.end()
        self.logs.terminal.say(f"stage {stage.name} is done after {state.step} steps.")

    def finish(self) -> None:
        """Marks the stage as completed, and saves that."""
        self.state.complete()
        self.save()

    def examine(self, report: StepReport, step: int) -> None:
        """Stops on terms that are not finite, and warns of a discriminator that has won."""
        figures = report.read()
        check_finite(figures, self.stage.name, step, scaled=self.state.scaler is not None)
        losses: dict[str, float] = {}
        for name, loss in figures["discriminator"].items():
            network = name.rpartition("/")[0]
            losses[network] = losses.get(network, 0.0) + loss
        for network, loss in losses.items():
            self.low_steps[network] = self.low_steps.get(network, 0) + 1 if loss < LOW_DISCRIMINATOR_LOSS else 0
            whose = f"stage {self.stage.name}: the loss of discriminator {network}".rstrip()
            if self.low_steps[network] == LOW_FOR_STEPS and whose not in self.state.warned:
                self.state.warned.append(whose)
                warnings.warn(
                    f"{whose} has been under {LOW_DISCRIMINATOR_LOSS} for {LOW_FOR_STEPS} steps: it tells real from "
                    "fake at once, and the generator learns little from it. A lower discriminator_ratio, PatchGAN70 or "
                    "more photos help.",
                    stacklevel=2,
                )

    def log(self, report: StepReport) -> None:
        """Writes a step's figures."""
        now = time.monotonic()
        images = (self.state.step - self.logged_step) * self.batches.train.images_per_step
        with self.fabric.autocast():
            scores = {name: float(value) for name, value in self.stage.scores(report.generated).items()}
        record = self._record("train") | report.read()
        record |= {"scores": scores, "images_per_second": images / max(now - self.logged_time, 1e-9)}
        self.logs.write(record, self.state.total)
        self.logs.terminal.show(self.state.step, record)
        self.logged_step, self.logged_time = self.state.step, time.monotonic()

    def validate(self) -> bool:
        """The plateau figure over the validation samples; True if the stage ends on it."""
        start = time.monotonic()
        figure = plateau_figure(self.fabric, self.stage, self.batches.validation, self._averages())
        plateau, patience = self.state.plateau, self.stage.schedule.patience
        plateau.update(figure)
        record = self._record("validation") | {"figure": figure, "best": plateau.best, "since": plateau.since}
        self.logs.write(record, self.state.total)
        self.logs.terminal.say(
            f"{self.stage.name} {self.state.step}: validation figure {figure:.5g}, best {plateau.best:.5g}"
        )
        self._leave_out(start)
        reached = plateau.reached(patience)
        if reached:
            self.logs.terminal.say(f"stage {self.stage.name}: no better for {patience} evaluations, so it ends.")
        return reached

    def picture(self) -> None:
        """Writes the grid of pictures."""
        if not self.fabric.is_global_zero:
            return
        start = time.monotonic()
        picture = preview_grid(self.fabric, self.stage, self.batches.pictured, self._averages())
        save_picture(picture, self.run_dir / "previews" / f"{self.stage.name}-{self.state.step:07d}.png")
        self.logs.picture(f"preview/{self.stage.name}", picture, self.state.total)
        self._leave_out(start)

    def save(self) -> Path:
        """Writes a checkpoint, on the first process."""
        start = time.monotonic()
        folder = self.run_dir / "checkpoints"
        if self.fabric.is_global_zero:
            save_checkpoint(self.state.state_dict(self.step), folder, keep=self.settings.keep)
        self._leave_out(start)
        return folder

    def _end_early(self) -> None:
        folder = self.save()
        raise Interrupted(
            f"stopped by {self.stop.received or 'a signal'} after step {self.state.step} of stage {self.stage.name}; "
            f"saved in {folder}. The same command goes on from there.",
            self.stop.number,
        )

    def _due(self, every: int) -> bool:
        return self.state.step % every == 0

    def _stopped(self) -> bool:
        """Whether a process was told to stop; several agree on it now and then, since asking costs them a wait."""
        if self.fabric.world_size == 1:
            return self.stop.received is not None
        if not self._due(10):
            return False
        flag = torch.tensor(float(self.stop.received is not None), device=self.fabric.device)
        return bool(self.fabric.all_reduce(flag, reduce_op="sum"))

    def _averages(self) -> dict[str, Ema]:
        return {name: self.state.averages[name] for name in self.stage.generators}

    def _record(self, kind: str) -> dict[str, Any]:
        return {"kind": kind, "stage": self.stage.name, "step": self.state.step, "total": self.state.total}

    def _leave_out(self, start: float) -> None:
        """Time since ``start`` was not spent training, so images/s leaves it out."""
        self.logged_time += time.monotonic() - start


def _count(dataset: Dataset[Any] | None) -> int:
    return 0 if dataset is None else len(dataset)  # type: ignore[arg-type]
