"""What a call asks of a model, and a model of its networks, checked; what is said where it has no such network."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

from torch import nn


def whole_number(name: str, value: Any, least: int | None = None, most: int | None = None, remedy: str = "") -> int:
    """A whole number that a call was given, as Python's own. Numpy's are whole numbers too; booleans are none.

    Args:
        least, most: the bounds, both allowed; None: there is none. There is no `most` without `least`.
        remedy: a sentence for the message.

    Raises:
        ValueError: it is another thing, or out of bounds.
    """
    fine = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not fine or (least is not None and value < least) or (most is not None and value > most):
        bounds = "" if least is None else f", at least {least}" if most is None else f" from {least} to {most}"
        raise ValueError(f"{name} must be a whole number{bounds}; got {value!r}." + (f" {remedy}" if remedy else ""))
    return int(value)


def is_number(value: Any) -> bool:
    """Whether a call was given a real number, Python's or numpy's; booleans are none."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def check_batch_size(batch_size: Any) -> int:
    """How many go through a network at a time, as a call says it; ValueError unless it is a whole number above 0."""
    return whole_number("batch_size", batch_size, 1)


def check_drawing(thin: Any, tone: Any, ground: Any, grounds: Sequence[str]) -> None:
    """Checks how a calibrated sketch is to be drawn, as `CaliSketch.calibrate` takes it.

    Raises:
        ValueError: thin or tone that is no boolean, or a ground that is neither None nor one of `grounds`.
    """
    for name, value in (("thin", thin), ("tone", tone)):
        if not isinstance(value, bool):
            raise ValueError(f"{name} must be True or False; got {value!r}.")
    if ground is not None and ground not in grounds:
        raise ValueError(f"ground must be None, for the sketch's own, or one of {', '.join(grounds)}; got {ground!r}.")


def need_isn(network: nn.Module | None, what: str) -> nn.Module:
    """The network that paints.

    Raises:
        ValueError: there is none; says what needs it.
    """
    if network is None:
        raise ValueError(
            f"{what} needs an Image Synthesis Network (ISN), and this model has none: it calibrates sketches only. "
            "Call calibrate, and hand its answer to a model that paints, as the default one does."
        )
    return network


def need_scn(network: nn.Module | None, what: str) -> nn.Module:
    """The network that calibrates.

    Raises:
        ValueError: there is none; says what needs it.
    """
    if network is None:
        raise ValueError(
            f"{what} needs a Stroke Calibration Network (SCN), and this model has none: it paints from the strokes as "
            "they are. Call synthesize without a strength, or load a model that calibrates, as the default one does."
        )
    return network


def checked_options(strength: float | None, batch_size: int, scn: nn.Module | None) -> float:
    """The strength that a call means: None is 1, and 0 for a model without an SCN, which takes no other.

    Raises:
        ValueError: a strength outside [0, 1], or one above 0 without an SCN; a batch_size below 1.
    """
    if strength is None:
        strength = 0.0 if scn is None else 1.0
    if not isinstance(strength, numbers.Real) or not 0 <= strength <= 1:
        raise ValueError(f"strength must be in [0, 1]; got {strength!r}. 0 keeps the strokes, 1 replaces them.")
    check_batch_size(batch_size)
    if strength > 0:
        need_scn(scn, f"strength={strength!r}")
    return strength


def check_channels(name: str, network: nn.Module, channels_in: int, channels_out: int, remedy: str) -> None:
    """Compares the channels that a network says it maps with those it is to map; one that says nothing is trusted.

    remedy: a sentence for the message, on what the network is to map.

    Raises:
        ValueError: it maps others.
    """
    said = getattr(network, "config", None)
    if not isinstance(said, dict):
        return
    got = said.get("in_channels", channels_in), said.get("out_channels", channels_out)
    if got != (channels_in, channels_out):
        raise ValueError(
            f"{name} must map {channels_in} channel{'s' if channels_in > 1 else ''} to {channels_out}; got {got[0]} to "
            f"{got[1]}. {remedy}"
        )
