"""The one registry of what a run can be resumed from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..networks import GENERATORS
from ..networks.heads import head_of_weights
from ..stage import Stage
from ..weights import folder as model_folder
from ..weights.files import ModelFolderError
from .checkpoint import CheckpointError, find_checkpoint, load_checkpoint, random_state, restore_random_state
from .ema import Ema
from .settings import changed_settings
from .step import AdversarialStep
from .validation import Plateau
from .watch import Watch

_WARMED_UP = 10_000  # updates of an average that is as good as its weights: it moves as slowly as it ever will
InitFrom = str | Path | Sequence[str | Path] | Mapping[str, str | Path]


class RunState:
    """Networks, averages, optimizers, counters and random generators of a run, saved and restored as a whole.

    stages: every stage of the system, in order; a name stands for the same network in each. config: the resolved
    configuration, plain containers; kept beside the weights.

    Raises ValueError: no stages, two stages of one name, or one name for two networks.
    """

    def __init__(
        self,
        stages: Sequence[Stage],
        *,
        ema_decay: float,
        scaler: torch.amp.GradScaler | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        names = [stage.name for stage in stages]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"a run needs at least one stage, each with a name of its own; got {names}.")
        self.stages = list(stages)
        self.generators = _union([stage.generators for stage in stages])
        self.discriminators = _union([stage.discriminators for stage in stages])
        self.averages = {name: Ema(module, ema_decay) for name, module in self.generators.items()}
        self.scaler = scaler
        self.config = dict(config or {})
        self.stage = names[0]
        self.step = 0  # steps done of the present stage
        self.total = 0  # steps done of the whole run
        self.images = 0  # samples seen in the present stage, by all processes
        self.completed: list[str] = []
        self.lengths: dict[str, int] = {}  # steps that each completed stage took
        self.data: dict[str, int] = {}  # how many training and validation samples there are
        self.trained: list[str] = []
        self.watch = Watch()
        self.plateau = Plateau()
        self._optimizers: dict[str, Any] | None = None

    def follow(self) -> None:
        """Starts the averages anew at the networks' present weights, device and memory format."""
        self.averages = {name: Ema(module, self.averages[name].decay) for name, module in self.generators.items()}

    def begin(self, stage: Stage) -> None:
        """Turns to a stage: counters and plateau start anew, unless it is the one that was restored."""
        if self._optimizers is not None and self.stage == stage.name:
            return
        self.stage, self.step, self.images, self.plateau, self._optimizers = stage.name, 0, 0, Plateau(), None
        self.watch.begin()

    def adopt(self, step: AdversarialStep) -> None:
        """Gives the restored optimizer states, if there are any, to the present stage's optimizers."""
        if self._optimizers is not None:
            step.load_state_dict(self._optimizers)
            self._optimizers = None

    def advance(self, stage: Stage, skipped: Tensor | None, images: int) -> None:
        """A step on so many samples is done; ``skipped``, () on the device, is not 0 if it spared the generators."""
        self.images += images
        self.step += 1
        self.total += 1
        self.trained += [name for name in stage.generators if name not in self.trained]
        for name in stage.generators:
            self.averages[name].update(skipped)

    def complete(self) -> None:
        """The present stage is over."""
        self.completed.append(self.stage)
        self.lengths[self.stage] = self.step

    def state_dict(self, step: AdversarialStep | None) -> dict[str, Any]:
        """Tensors and plain containers only."""
        return {
            "stage": self.stage,
            "step": self.step,
            "total": self.total,
            "images": self.images,
            "completed": list(self.completed),
            "lengths": dict(self.lengths),
            "data": dict(self.data),
            "watch": self.watch.state_dict(),
            "trained": list(self.trained),
            "plateau": {"best": self.plateau.best, "since": self.plateau.since},
            "generators": {name: module.state_dict() for name, module in self.generators.items()},
            "discriminators": {name: module.state_dict() for name, module in self.discriminators.items()},
            "ema": {name: average.state_dict() for name, average in self.averages.items()},
            "optimizers": step.state_dict() if step is not None else None,
            "scaler": self.scaler.state_dict() if self.scaler is not None else {},
            "random": random_state(),
            "config": self.config,
            "versions": versions(),
        }

    def bytes_needed(self) -> int:
        """About how many bytes a checkpoint takes: every network, the averages, and Adam's two moments of each."""
        generators, discriminators = (
            sum(
                tensor.numel() * tensor.element_size()
                for module in group.values()
                for tensor in module.state_dict().values()
            )
            for group in (self.generators, self.discriminators)
        )
        return 4 * generators + 3 * discriminators

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes up a checkpoint of this run. Raises CheckpointError: it is of a system with other networks."""
        for name in (*self.generators, *self.discriminators):
            if name not in state["generators"] and name not in state["discriminators"]:
                raise CheckpointError(f"the checkpoint has no network {name!r}: it is of another system.")
        for name in self.generators:
            try:
                self._take(name, state, "the run's checkpoint")
            except CheckpointError as error:
                changed = changed_settings(state["config"], self.config)
                raise CheckpointError(
                    "\n".join([str(error), *(f"  changed since: {line}" for line in changed)])
                ) from error
        self.stage, self.step, self.total = state["stage"], state["step"], state["total"]
        self.images = state["images"]
        self.completed, self.trained = list(state["completed"]), list(state["trained"])
        self.lengths = dict(state["lengths"])
        self.watch.load_state_dict(state["watch"])
        self.plateau = Plateau(**state["plateau"])
        finished = self.stage in self.completed
        self._optimizers = None if finished else state["optimizers"]
        if self.scaler is not None and state["scaler"]:
            self.scaler.load_state_dict(state["scaler"])
        restore_random_state(state["random"])

    def init_from(self, source: InitFrom) -> dict[str, Path]:
        """Takes networks (generator, discriminator, average) from other runs; says which came from where.

        Args:
            source: a run folder or checkpoint, or a model folder, which has no discriminators (they start anew); every
                network is taken that was trained there; several of them; or a mapping from a network's name to such a
                path.

        Raises:
            CheckpointError: nothing of that kind there, or it holds no trained network that is wanted here.
        """
        if isinstance(source, Mapping):
            return {name: self._init_one(path, [name])[0] for name, path in source.items()}
        paths = [source] if isinstance(source, str | Path) else list(source)
        taken: dict[str, Path] = {}
        for path in paths:
            found, names = self._init_one(path, None)
            taken |= dict.fromkeys(names, found)
        return taken

    def _init_one(self, source: str | Path, names: list[str] | None) -> tuple[Path, list[str]]:
        path, state = self._weights_of(source, names)
        for name in names or []:
            if name not in self.generators:
                raise CheckpointError(f"init_from.{name}: no such network; there are {sorted(self.generators)}.")
            if name not in state["trained"]:
                raise CheckpointError(f"init_from.{name}: {path} holds trained networks {state['trained']} only.")
        chosen = names or [name for name in state["trained"] if name in self.generators]
        if not chosen:
            raise CheckpointError(f"init_from: {path} holds no trained network of {sorted(self.generators)}.")
        for name in chosen:
            self._take(name, state, str(path))
            self.trained += [name] if name not in self.trained else []
        return path, chosen

    def _weights_of(self, source: str | Path, names: list[str] | None) -> tuple[Path, Mapping[str, Any]]:
        """Where the weights lie, and a state to take networks of: a checkpoint's, or one made of a model folder."""
        folder = Path(source).expanduser()
        if not (folder / model_folder.CONFIG_FILE).is_file():
            try:
                path = find_checkpoint(source)
            except CheckpointError as error:
                raise CheckpointError(f"{error} A model folder (with config.json) will do, too.") from error
            return path, load_checkpoint(path)
        try:
            networks, _ = model_folder.load(folder, GENERATORS)
        except (ModelFolderError, OSError) as error:
            raise CheckpointError(f"init_from: {error}") from error
        if list(networks) == ["isn"] and len(self.generators) == 1:  # what paints in a one-stage model, by any name
            networks = {next(iter(self.generators)): networks["isn"]}
        for name in networks.keys() & self.generators.keys() & set(names or networks):  # others may be as they like
            there, here = (
                {"class": type(each).__name__, **getattr(each, "config", {})}
                for each in (networks[name], self.generators[name])
            )
            if there.get("head") == head_of_weights(str(here.get("head"))):
                there["head"] = here["head"]  # asked for: the same with smooth colours, which has no weights
            if differing := changed_settings(there, here):  # shapes may agree all the same
                raise CheckpointError(
                    f"init_from: network {name!r} of {folder} is not the one configured here ({', '.join(differing)}). "
                    "Configure the model's, or take another model."
                )
        weights = {name: network.state_dict() for name, network in networks.items()}
        averages = {name: {"updates": _WARMED_UP, "average": average} for name, average in weights.items()}
        return folder, {"trained": list(weights), "generators": weights, "discriminators": {}, "ema": averages}

    def _take(self, name: str, state: Mapping[str, Any], source: str) -> None:
        try:
            self.generators[name].load_state_dict(state["generators"][name])
            if name in self.discriminators and name in state["discriminators"]:
                self.discriminators[name].load_state_dict(state["discriminators"][name])
            self.averages[name].load_state_dict(state["ema"][name])
        except (RuntimeError, ValueError, KeyError) as error:
            raise CheckpointError(
                f"network {name!r} of {source} does not fit the one configured here: {error}\nUse the configuration "
                "of that run, or another run_dir."
            ) from error


def differences(state: Mapping[str, Any], now: RunState) -> list[str]:
    """What is not as it was when a checkpoint was written, as lines ``key: before -> now``."""
    before = {"version": state["versions"], "photos": state["data"]}
    lines = changed_settings(before, {"version": versions(), "photos": now.data})
    return changed_settings(state["config"], now.config) + lines


def versions() -> dict[str, str]:
    """What the numbers depend on besides the settings."""
    return {"torch": torch.__version__, "calisketch": _own_version()}


def _own_version() -> str:
    from .. import (
        __version__,  # here: the package imports the pipeline first, and this module may be reached on that way
    )

    return __version__


def _union(groups: Sequence[Mapping[str, nn.Module]]) -> dict[str, nn.Module]:
    result: dict[str, nn.Module] = {}
    for group in groups:
        for name, module in group.items():
            if result.setdefault(name, module) is not module:
                raise ValueError(f"the name {name!r} stands for two different networks in the stages of one system.")
    return result
