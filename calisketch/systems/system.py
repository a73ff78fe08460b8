"""What the training command asks of a system, whichever method it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol, TypeVar

from torch import nn

from ..stage import Stage

Value = TypeVar("Value")


class Channels(NamedTuple):
    """A network, and how many channels it is given and has to make; ``made`` is None where any number will do."""

    network: nn.Module
    given: int
    made: int | None = None


def by_stage(own: Mapping[str, Value], given: Mapping[str, Value] | None, name: str = "schedules") -> dict[str, Value]:
    """A method's own values, those that are given in their place. Raises ValueError for a stage that there is not."""
    chosen = {**own, **(given or {})}
    if chosen.keys() != own.keys():
        raise ValueError(f"{name} must be for stages of {list(own)}; got {sorted(chosen)}.")
    return chosen


class System(Protocol):
    """A published method as its list of stages.

    Attributes:
        name: of its file in conf/system.
        stages: in the order in which they are run.
        generators: what a model folder of it holds, by the names that the class which loads it looks for: "isn", the
            network that paints from strokes, and "scn", where there is one, which calibrates before; "pi_rec", "x_gan"
            and "sketcher" of the relatives.
        channels: by its key in the configuration below ``system``, every network that is given images, and the
            channels it has to take.
    """

    name: str

    @property
    def stages(self) -> Sequence[Stage]: ...

    @property
    def generators(self) -> dict[str, nn.Module]: ...

    @property
    def channels(self) -> dict[str, Channels]: ...
