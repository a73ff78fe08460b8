"""The front door of training: any list of stages, in a run folder, from where it stands to its end."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision
from lightning_fabric.strategies import DDPStrategy
from torch.utils.data import Dataset

from ..remedies import override
from ..stage import Stage
from .batches import Draw, evenly_chosen
from .checkpoint import CheckpointError, check_room, list_checkpoints, load_latest, tidy
from .interruption import Interrupted, StopSignals
from .logging import Logs, MetricsFile, Terminal, Tracker
from .ownership import only_writer
from .processes import (
    PATIENCE,
    Lifeline,
    agree,
    leaving_no_one_waiting,
    loader_lost,
    share,
    share_tensors,
    started_by_torchrun,
)
from .settings import Settings, check_stages
from .stage_run import StageBatches, StageRun
from .state import InitFrom, RunState, differences
from .validation import averaged

# What torch says on Linux, on Windows, what oneDNN says when its scratch memory cannot be had, and what C++ says.
CPU_OUT_OF_MEMORY = ("can't allocate memory", "not enough memory", "could not create a primitive", "bad_alloc")


class OutOfMemory(RuntimeError):
    """The device's memory does not suffice; the message names the settings that lower the need."""


class Engine:
    """Trains any list of stages in ``run_dir``, and goes on where an earlier call with the same folder ended.

    Args:
        run_dir: gets checkpoints/, previews/ and metrics.jsonl.
        wandb: arguments of ``logging.Tracker`` (mode, project, name); None: no W&B.
        config: what the checkpoints keep as the run's configuration, plain containers; None: the settings and the
            stages' schedules.
        quiet: nothing on the terminal.
        settings: the fields of ``settings.Settings``: precision, batch_size, accumulate, ema_decay ...

    Raises:
        ValueError: a setting that no training can have, named.
        TypeError: a setting that there is not.
    """

    def __init__(
        self,
        run_dir: str | Path,
        *,
        wandb: Mapping[str, Any] | None = None,
        config: Mapping[str, Any] | None = None,
        quiet: bool = False,
        **settings: Any,
    ) -> None:
        self.settings = Settings(**settings)
        self.run_dir = Path(run_dir)
        self.wandb = wandb
        self.config = config
        self.scaler: torch.amp.GradScaler | None = None
        self.lifeline: Lifeline | None = None
        self.fabric = self._launch()
        self.terminal = Terminal(quiet=quiet or not self.fabric.is_global_zero)

    def fit(
        self,
        stages: Sequence[Stage],
        train: Dataset[Any],
        validation: Dataset[Any] | None = None,
        *,
        draw: Draw | None = None,
        only: Sequence[str] | None = None,
        init_from: InitFrom | None = None,
        after_stage: Callable[[Stage], None] | None = None,
    ) -> RunState:
        """Runs the stages in turn; those that this run folder has completed are passed over.

        Args:
            stages: every stage of the system, in order.
            train: items with ``photo`` (3, H, W), ``index`` and whatever else the stages read.
            validation: alike, of which ``validation_samples`` are taken; without it no stage ends on a plateau, and
                previews show training samples.
            draw: makes each batch's ``sketch`` from its ``photo``; None if the items bring their own.
            only: names of the stages to run now; None is all.
            init_from: other runs' weights to start from (see ``RunState.init_from``); of no effect on a resumed run.
            after_stage: called on the first process at each stage's end, while every generator holds its average; only
                then does the stage count as completed, so that a kill in between is made up for.

        Returns:
            The run's state at its end.

        Raises:
            ValueError: an unknown stage in ``only``, or an empty data set.
            CheckpointError: ``init_from`` or the run folder holds what does not fit.
            NonFiniteLoss: a loss term stopped being a number.
            OutOfMemory: naming the settings to lower.
            Interrupted: by SIGINT or SIGTERM, after saving.
            ProcessLost: another process of the run was killed or failed.
        """
        check_stages(only, [stage.name for stage in stages])
        selected = [stage for stage in stages if only is None or stage.name in only]
        if self.config is None:
            schedules = {stage.name: asdict(stage.schedule) for stage in stages}
            self.config = {**asdict(self.settings), "schedules": schedules}
        state = RunState(stages, ema_decay=self.settings.ema_decay, scaler=self.scaler, config=self.config)
        state.data = {"train": _count(train), "validation": _count(validation)}
        if validation is not None:
            validation = evenly_chosen(validation, self.settings.validation_samples)
        try:
            with leaving_no_one_waiting(self.fabric, self.lifeline):
                self._place(state)
                self._check_whose_run()
                new = self.fabric.is_global_zero and not (self.run_dir / "checkpoints").exists()
                if new:  # before anything is made: init_from may be wrong
                    self._take_weights(state, init_from)
                with self._owned() as first:
                    self._restore(state, selected, None if new else init_from)
                    self._warn_of_untrained(state, stages, selected)
                    if first:
                        check_room(self.run_dir / "checkpoints", state.bytes_needed())
                    self._run(state, selected, train, validation, draw, after_stage)
        except Interrupted:
            self.close()  # every process has agreed on it
            raise
        return state

    @contextmanager
    def _owned(self) -> Iterator[bool]:
        """Within this context no other run writes to the folder. True on the process that writes."""
        if not self.fabric.is_global_zero:
            yield False
            return
        folder = self.run_dir / "checkpoints"
        check_room(folder, 0)
        with only_writer(folder, say=self.terminal.say):
            tidy(folder)
            yield True

    def _run(
        self,
        state: RunState,
        selected: Sequence[Stage],
        train: Dataset[Any],
        validation: Dataset[Any] | None,
        draw: Draw | None,
        after_stage: Callable[[Stage], None] | None,
    ) -> None:
        logs = self._open_logs(state)
        try:
            with StopSignals(announce=not self.terminal.quiet) as stop, _memory_advice():
                for stage in selected:
                    if stage.name in state.completed:
                        self._pass_over(stage, state)
                        continue
                    batches = StageBatches(stage, train, validation, draw, self.settings, self.fabric)
                    run = StageRun(
                        stage,
                        state,
                        batches,
                        settings=self.settings,
                        fabric=self.fabric,
                        logs=logs,
                        stop=stop,
                        run_dir=self.run_dir,
                    )
                    run.run()
                    if after_stage is not None and self.fabric.is_global_zero:
                        with averaged(state.averages):
                            after_stage(stage)
                    run.finish()
        finally:
            logs.close()

    def _pass_over(self, stage: Stage, state: RunState) -> None:
        done, wanted = state.lengths.get(stage.name, 0), stage.schedule.iterations
        more = ""
        if wanted > done:
            more = (
                f" It ended after {done} steps, of now {wanted}; to train it further, use another run_dir with "
                f"{override('init_from', self.run_dir)}."
            )
        self.terminal.say(f"stage {stage.name} is completed in {self.run_dir}: passed over.{more}")

    def close(self) -> None:
        """Ends the process group of a run in several processes, together; otherwise they abort at exit now and then.

        Raises:
            ProcessLost: another process did not come that far.
        """
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            with leaving_no_one_waiting(self.fabric, self.lifeline):
                self.fabric.barrier()
            torch.distributed.destroy_process_group()
            if self.lifeline is not None:
                self.lifeline.release()

    def _launch(self) -> Fabric:
        settings = self.settings
        started = started_by_torchrun()
        machines = started.machines if started else 1
        where: dict[str, Any] = {"accelerator": settings.accelerator, "devices": settings.devices}
        several = machines * (settings.devices or 1) > 1
        if several:
            where |= {"strategy": DDPStrategy(timeout=PATIENCE), "num_nodes": machines}
        if settings.precision == "32-true":
            fabric = Fabric(precision="32-true", **where)
        else:
            kind = Fabric(accelerator=settings.accelerator, devices=1).device.type
            if settings.precision == "16-mixed":
                self.scaler = torch.amp.GradScaler(kind)
            fabric = Fabric(plugins=[MixedPrecision(settings.precision, kind, self.scaler)], **where)
        if several:
            logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # every process would introduce itself
            self.lifeline = Lifeline()
            self.lifeline.start()
        with leaving_no_one_waiting(fabric, self.lifeline):
            fabric.launch()
        if self.lifeline is not None:
            self.lifeline.follow(fabric.strategy.launcher.procs)
        return fabric

    def _place(self, state: RunState) -> None:
        """Networks to the device, in the memory format, compiled if asked for."""
        frozen = {id(module): module for stage in state.stages for module in stage.frozen.values()}
        for module in (*state.generators.values(), *state.discriminators.values(), *frozen.values()):
            module.to(self.fabric.device)
            if self.settings.channels_last:
                module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            if self.settings.compile:
                module.compile()
        for module in frozen.values():
            share_tensors(self.fabric, list(module.state_dict().values()))
        state.follow()

    def _restore(self, state: RunState, selected: Sequence[Stage], init_from: InitFrom | None) -> None:
        """Takes up the newest checkpoint, if there is one; else the first process's weights are everyone's.

        The first process alone reads: the others may be on machines that see neither the run nor ``init_from``.
        """
        restored = None
        if self.fabric.is_global_zero:
            with _memory_advice():
                restored = load_latest(self.run_dir / "checkpoints", set_aside=True)
            if restored is None:
                self._take_weights(state, init_from)
        if self.fabric.world_size > 1:
            begun = None if restored else state.state_dict(None)
            shared = share(self.fabric, {"restored": restored, "begun": begun})
            restored = shared["restored"]
            if shared["begun"]:
                state.load_state_dict(shared["begun"])
        if restored is None:
            return
        state.load_state_dict(restored)
        self.terminal.say(f"resumed {self.run_dir}: stage {state.stage}, step {state.step}")
        for line in differences(restored, state):
            self.terminal.say(f"  changed since: {line}")
        pending = [stage.name for stage in selected if stage.name not in state.completed]
        if pending and state.stage not in state.completed and pending[0] != state.stage:
            raise CheckpointError(
                f"{self.run_dir} stopped within stage {state.stage} at step {state.step}, and stages={pending} would "
                f"leave it unfinished. Add {state.stage} to stages; or end it there by setting its schedule's "
                f"iterations to {state.step}; or use another run_dir with {override('init_from', self.run_dir)}."
            )

    def _check_whose_run(self) -> None:
        """Refuses to begin anew where another machine, which was the first one before, has the run in its folder."""
        if self.fabric.world_size == 1:
            return
        own = max([int(path.name.split("-")[1]) for path in list_checkpoints(self.run_dir / "checkpoints")], default=-1)
        first, furthest = agree(self.fabric, own if self.fabric.is_global_zero else -1), agree(self.fabric, own)
        if furthest > first:
            raise CheckpointError(
                f"another machine's {self.run_dir} has a checkpoint of step {furthest}, and the one of the first "
                f"process {f'only of step {first}' if first >= 0 else 'has none'}. Copy its checkpoints to the machine "
                "of the first process, or give a run_dir that all machines share."
            )

    def _take_weights(self, state: RunState, init_from: InitFrom | None) -> None:
        for name, path in (state.init_from(init_from) if init_from else {}).items():
            self.terminal.say(f"{name}: weights from {path}")

    def _warn_of_untrained(self, state: RunState, stages: Sequence[Stage], selected: Sequence[Stage]) -> None:
        """Says so when the first stage to run builds on networks that an earlier, skipped stage would have trained."""
        first = next((stage for stage in selected if stage.name not in state.completed), None)
        if first is None or state.step:
            return
        needed = {*first.generators, *getattr(first, "builds_on", ())}
        for earlier in stages[: list(stages).index(first)]:
            shared = sorted((set(earlier.generators) & needed) - set(state.trained))
            if earlier.name not in state.completed and shared:
                self.terminal.say(
                    f"warning: stage {first.name} builds on {', '.join(shared)}, which stage {earlier.name} has not "
                    "trained here: it starts from random weights. Give init_from=RUN, or run that stage first."
                )

    def _open_logs(self, state: RunState) -> Logs:
        if not self.fabric.is_global_zero:
            return Logs(self.terminal, None, None)
        self.run_dir.mkdir(parents=True, exist_ok=True)
        tracker = Tracker(run_dir=self.run_dir, config=self.config, **self.wandb) if self.wandb else None
        return Logs(self.terminal, MetricsFile(self.run_dir / "metrics.jsonl", state.total), tracker)


def _count(dataset: Dataset[Any] | None) -> int:
    return 0 if dataset is None else len(dataset)  # type: ignore[arg-type]


@contextmanager
def _memory_advice() -> Iterator[None]:
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if str(error).startswith("DataLoader worker (pid"):  # torch's signal handler, wherever the training was
            raise loader_lost(error) from error
        exhausted = any(words in str(error) for words in CPU_OUT_OF_MEMORY)
        if not isinstance(error, torch.OutOfMemoryError | MemoryError) and not exhausted:
            raise
        error.__traceback__ = None  # its frames hold the step's tensors, and what comes now needs a little memory
        raise OutOfMemory(
            f"out of memory: {(str(error) or 'no more could be had').splitlines()[0]}\n"
            "Lower the need with batch_size (raise accumulate by the same factor), data.size, precision=bf16-mixed, "
            "smaller networks (width), or system.isn.keep_features=false."
        ) from error
