"""One stage of a run, from where it stands to its end: the training loop."""

from __future__ import annotations

import math
import signal
import time
import warnings
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric
from torch.utils.data import Dataset, Subset

from ..stage import Batch, Stage
from .batches import Draw, TrainingBatches, validation_batches
from .checkpoint import save_checkpoint
from .ema import Ema
from .interruption import Interrupted, StopSignals
from .logging import Logs
from .processes import agree, average, seed_step
from .settings import Settings
from .state import RunState
from .step import AdversarialStep, NonFiniteLoss, StepReport
from .validation import preview_grid, save_picture, validation_figures


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
    """Runs one stage of a run, whose ``state`` is restored or new, on a launched ``fabric``."""

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
        self.logged_step, self.logged_time = state.step, time.monotonic()

    def run(self) -> None:
        """Steps until the iterations are done or the plateau is reached.

        Raises NonFiniteLoss: a term stopped being a number, nothing was saved since; Interrupted: a signal asked for
        it, everything is saved.
        """
        with closing(self.batches.train.after(self.state.images)) as batches:
            self._run(batches)

    def _run(self, batches: Iterator[list[Batch]]) -> None:
        state, stage, settings = self.state, self.stage, self.settings
        self.logs.terminal.begin(stage.name, stage.schedule.iterations, state.step)
        for module in (*stage.generators.values(), *stage.discriminators.values()):
            module.train()
        over = state.step >= stage.schedule.iterations
        waiting: tuple[StepReport, int] | None = None
        while not over:
            seed_step(self.fabric, settings.seed, state.total)
            self.step.follow_schedule(state.step)
            report = self.step(next(batches))
            state.advance(stage, report.skipped, self.batches.train.images_per_step)
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
            better = False
            if validated and self.batches.validation:
                better, reached = self.validate()
                over = over or reached
            if pictured or over:
                self.picture()
            if stopped and not over:
                self._end_early(best=better)
            if better or (saved and not over):
                self.save(best=better)
        self.logs.terminal.end()
        skips = state.watch.summary()
        self.logs.terminal.say(f"stage {stage.name} is done after {state.step} steps{f'; {skips}' if skips else ''}.")

    def finish(self) -> None:
        """Marks the stage as completed, and saves that."""
        self.state.complete()
        self.save()

    def examine(self, report: StepReport, step: int) -> None:
        """Stops on terms that are not finite; writes and says what the watch finds."""
        for message in self.state.watch.see(report.read(), self.stage.name, step):
            total = self.state.total - (self.state.step - step)
            record = {"kind": "warning", "stage": self.stage.name, "step": step, "total": total, "message": message}
            self.logs.write(record, total)
            if self.fabric.is_global_zero:
                warnings.warn(message, stacklevel=2)

    def log(self, report: StepReport) -> None:
        """Writes a step's figures."""
        now = time.monotonic()
        steps = self.state.step - self.logged_step
        with self.fabric.autocast():
            scores = average(self.fabric, self.stage.scores(report.generated))
        figures = report.read()
        scaler = figures.pop("scaler", None)
        record = self._record("train") | figures
        if scaler is not None:
            record |= {"skipped_steps": dict(self.state.watch.skipped), "loss_scale": scaler["scale"]}
        took = max(now - self.logged_time, 1e-9)
        rates = {
            "images_per_second": steps * self.batches.train.images_per_step / took,
            "steps_per_second": steps / took,
        }
        record |= {"scores": scores, **rates}
        self.logs.write(record, self.state.total)
        self.logs.terminal.show(self.state.step, record)
        self.logged_step, self.logged_time = self.state.step, time.monotonic()

    def validate(self) -> tuple[bool, bool]:
        """The plateau figure over the validation samples: whether it is the best so far, and whether the stage ends.

        Raises:
            NonFiniteLoss: it is no finite number, so that neither a best state nor a plateau could be told.
        """
        start = time.monotonic()
        figures = validation_figures(self.fabric, self.stage, self.batches.validation, self._averages())
        figure = figures.pop("plateau")
        plateau, patience = self.state.plateau, self.stage.schedule.patience
        if not math.isfinite(figure):
            raise NonFiniteLoss(
                f"stage {self.stage.name}, step {self.state.step}: the validation figure is {figure}. The last "
                "checkpoint is from before. Look at the validation photos, or try precision=32-true."
            )
        plateau.update(figure)
        record = self._record("validation") | {"figure": figure, "best": plateau.best, "since": plateau.since}
        if figures:
            record |= {"figures": figures}
        self.logs.write(record, self.state.total)
        self.logs.terminal.say(
            f"{self.stage.name} {self.state.step}: validation figure {figure:.5g}, best {plateau.best:.5g}"
        )
        self._leave_out(start)
        reached = plateau.reached(patience)
        if reached:
            self.logs.terminal.say(f"stage {self.stage.name}: no better for {patience} evaluations, so it ends.")
        return plateau.since == 0, reached

    def picture(self) -> None:
        """Writes the grid of pictures."""
        if not self.fabric.is_global_zero:
            return
        start = time.monotonic()
        picture = preview_grid(self.fabric, self.stage, self.batches.pictured, self._averages())
        save_picture(picture, self.run_dir / "previews" / f"{self.stage.name}-{self.state.step:07d}.png")
        self.logs.picture(f"preview/{self.stage.name}", picture, self.state.total)
        self._leave_out(start)

    def save(self, *, best: bool = False) -> Path:
        """Writes a checkpoint, on the first process; the best one of the stage stays under a name of its own."""
        start = time.monotonic()
        folder = self.run_dir / "checkpoints"
        if self.fabric.is_global_zero:
            save_checkpoint(self.state.state_dict(self.step), folder, keep=self.settings.keep, best=best)
        self._leave_out(start)
        return folder

    def _end_early(self, *, best: bool) -> None:
        folder = self.save(best=best)
        raise Interrupted(
            f"stopped by {self.stop.received or 'a signal'} after step {self.state.step} of stage {self.stage.name}; "
            f"saved in {folder}. The same command goes on from there.",
            self.stop.number,
        )

    def _due(self, every: int) -> bool:
        return self.state.step % every == 0

    def _stopped(self) -> bool:
        """Whether a process was told to stop.

        Several agree on it: on a CPU after every step, on GPUs now and then, since asking makes them wait for the step.
        """
        if self.fabric.world_size > 1:
            if self.fabric.device.type != "cpu" and not self._due(10):
                return False
            number = agree(self.fabric, self.stop.number if self.stop.received else 0)
            if number and not self.stop.received:
                self.stop.received, self.stop.number = signal.Signals(number).name, number
        return self.stop.received is not None

    def _averages(self) -> dict[str, Ema]:
        return {name: self.state.averages[name] for name in self.stage.generators}

    def _record(self, kind: str) -> dict[str, Any]:
        return {"kind": kind, "stage": self.stage.name, "step": self.state.step, "total": self.state.total}

    def _leave_out(self, start: float) -> None:
        """Time since ``start`` was not spent training, so images/s leaves it out."""
        self.logged_time += time.monotonic() - start


def _count(dataset: Dataset[Any] | None) -> int:
    return 0 if dataset is None else len(dataset)  # type: ignore[arg-type]
