"""What a call asks of a model, and a model of its networks, checked; what is said where it has no such network."""

from __future__ import annotations

import numbers

from torch import nn


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
    if not isinstance(batch_size, numbers.Integral) or batch_size < 1:
        raise ValueError(f"batch_size must be a whole number, at least 1; got {batch_size!r}.")
    if strength > 0:
        need_scn(scn, f"strength={strength!r}")
    return strength


def check_channels(name: str, network: nn.Module, channels_in: int, channels_out: int) -> None:
    """Compares the channels that a network says it maps with those it is to map; one that says nothing is trusted.

    Raises:
        ValueError: it maps others.
    """
    said = getattr(network, "config", None)
    if not isinstance(said, dict):
        return
    got = said.get("in_channels", channels_in), said.get("out_channels", channels_out)
    if got != (channels_in, channels_out):
        raise ValueError(
            f"{name} must map {channels_in} channel to {channels_out}; got {got[0]} to {got[1]}. "
            "The first network is G1 (sketch to refined sketch), the second G2 (refined sketch to face)."
        )
