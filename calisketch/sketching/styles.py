"""The mixture of sketch styles that training draws its inputs from.

Cali-Sketch, section 4.1, with the settled reading: each of the four styles with probability 1/4, then simplification
with probability 1/2, then stroke deformation with probability 1/2, parameters uniform in each style's ranges.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from calisketch.checks import check_image
from calisketch.sketching.contour import CONTOUR_RANGES, CONTOUR_UNIFORMS, contour
from calisketch.sketching.deform import DEFORM_RANGES, DEFORM_UNIFORMS, deform
from calisketch.sketching.fdog import FDOG_RANGES, fdog
from calisketch.sketching.kernels import parameters_from_uniforms
from calisketch.sketching.learned import LearnedStyle
from calisketch.sketching.photocopy import PHOTOCOPY_RANGES, photocopy
from calisketch.sketching.simplify import SIMPLIFY_RANGES, simplify
from calisketch.sketching.xdog import XDOG_RANGES, xdog

Ranges = Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class Style:
    """A style: photo (B, C, H, W) -> sketch (B, 1, H, W), the ranges of its parameters, its random numbers a sample."""

    draw: Callable[..., Tensor]
    ranges: Ranges
    uniforms: int = 0


STYLES: dict[str, Style] = {
    "xdog": Style(xdog, XDOG_RANGES),
    "photocopy": Style(photocopy, PHOTOCOPY_RANGES),
    "fdog": Style(fdog, FDOG_RANGES),
    "contour": Style(contour, CONTOUR_RANGES, CONTOUR_UNIFORMS),
}
PARAMETERS = 8  # columns reserved for each step's parameters: a new parameter then shifts no other draw
_SECTIONS = (3, PARAMETERS, PARAMETERS, PARAMETERS, CONTOUR_UNIFORMS, DEFORM_UNIFORMS)


def sample_seed(seed: int, epoch: int, index: int, stream: str = "") -> int:
    """A 63 bit seed from (run seed, epoch, sample index): the same on every machine and in every version.

    stream: a name, for whatever draws for the same sample beside the mixture and must not repeat its numbers.
    """
    key = f"{seed}/{epoch}/{index}" + (f"/{stream}" if stream else "")
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "little") >> 1


def sample_uniforms(seed: int, epoch: int, index: Sequence[int], count: int, stream: str = "") -> Tensor:
    """(B, count) uniform numbers on the CPU, row k from its own generator seeded by (seed, epoch, index[k], stream)."""
    seeds = [sample_seed(seed, epoch, int(k), stream) for k in index]
    return torch.stack([torch.rand(count, generator=torch.Generator().manual_seed(each)) for each in seeds])


def numbers_of(index: Sequence[int] | Tensor, photo: Tensor) -> list[int]:
    """Each photo's index as a plain number. Raises ValueError if there is not one for each."""
    numbers = [int(k) for k in (index.tolist() if isinstance(index, Tensor) else index)]
    if len(numbers) != photo.shape[0]:
        raise ValueError(f"index must have one number per photo, {photo.shape[0]}; got {len(numbers)}.")
    return numbers


class SketchMixture:
    """Human-like sketches of photos, another style for every sample.

    Each sample's style, parameters and random fields depend on (seed, epoch, its own index) alone: not on its batch
    mates, not on the device, not on what was drawn before. So a resumed run equals an uninterrupted one.

    Args:
        weights: probability of each style, up to a common factor; None: all alike.
        simplify: probability that a sketch is simplified.
        deform: probability that a sketch's strokes are deformed.
        ranges: parameter ranges that replace the defaults, by step and name, e.g. ``{"xdog": {"sigma": (1, 2)}}``.
        learned: styles beside the four, by a name of their own: the model folder of a photo-to-sketch network, e.g.
            ``{"artist": "runs/paper/photo_to_sketch/model"}``. It has no parameters; `weights` says its share.

    Raises:
        ValueError: an unknown style, step or parameter, a negative weight, a probability outside [0, 1], a range that
            is not two numbers, the lower first, or a learned style without a share or with a name that is taken.
        FileNotFoundError, ModelFolderError: as for `LearnedStyle`.
    """

    def __init__(
        self,
        weights: Mapping[str, float] | None = None,
        simplify: float = 0.5,
        deform: float = 0.5,
        ranges: Mapping[str, Mapping[str, Sequence[float]]] | None = None,
        learned: Mapping[str, str | os.PathLike[str] | LearnedStyle] | None = None,
    ) -> None:
        self.learned = _learned_styles(learned)
        known = [*STYLES, *self.learned]
        weights = dict.fromkeys(known, 1 / len(known)) if weights is None else dict(weights)
        unknown = sorted(set(weights) - set(known))
        if unknown:
            raise ValueError(f"weights names unknown styles: got {unknown}, expected some of {sorted(known)}.")
        if without := sorted(self.learned.keys() - weights.keys()):
            raise ValueError(f"weights must give the learned styles {without} a share, too; got {weights}.")
        if min(weights.values(), default=-1.0) < 0.0 or sum(weights.values()) <= 0.0:
            raise ValueError(f"weights must be non-negative with a positive sum; got {weights}.")
        for name, probability in (("simplify", simplify), ("deform", deform)):
            if not 0.0 <= probability <= 1.0:
                raise ValueError(f"{name} must be a probability in [0, 1]; got {probability}.")
        # In the order of STYLES, so that the order in a config file changes no drawing.
        self.names = tuple(name for name in known if name in weights)
        shares = torch.tensor([float(weights[name]) for name in self.names])
        self.cumulated = shares.cumsum(0) / shares.sum()
        self.simplify, self.deform = float(simplify), float(deform)
        self.ranges = _merged_ranges(ranges)

    def only(self, style: str) -> SketchMixture:
        """The same, but all in one style: simplification, deformation and all parameters stay, sample by sample."""
        learned = {style: self.learned[style]} if style in self.learned else None
        return SketchMixture({style: 1.0}, self.simplify, self.deform, self.ranges, learned)

    @torch.no_grad()
    def __call__(self, photo: Tensor, *, seed: int, epoch: int, index: Sequence[int] | Tensor) -> Tensor:
        """Draw one sketch per photo.

        Args:
            photo: (B, 3, H, W) in [0, 1], on any device. A double precision photo is drawn in double precision, so
                that its sketch rounds to the same 8 bits on every processor; all others in single precision.
            seed, epoch: of the run.
            index: each sample's index in its data set, B whole numbers.

        Returns:
            (B, 1, H, W), ink = 1, [0, 1], on `photo`'s device.
        """
        # A training step under autocast must not draw its lines in half precision.
        with torch.autocast(photo.device.type, enabled=False):
            return self._draw(photo if photo.dtype == torch.float64 else photo.float(), seed, epoch, index)

    def decisions(self, *, seed: int, epoch: int, index: Sequence[int] | Tensor) -> list[dict[str, Any]]:
        """What a call with the same arguments draws for each sample, without drawing it.

        Returns:
            For each of `index`: {"style": its name, "parameters": {name: value}, "simplify": {name: value} or None,
            "deform": {name: value} or None}. The random fields of contour and deformation are not listed: they follow
            from the seed, as everything else here does.
        """
        draws = self._draws(seed, epoch, [int(k) for k in index])
        steps = {name: _rows_of(self.ranges.get(name, {}), draws.style) for name in self.names}
        simplify_rows = _rows_of(self.ranges["simplify"], draws.simplify)
        deform_rows = _rows_of(self.ranges["deform"], draws.deform)
        return [
            {
                "style": (name := self.names[int(draws.choice[k])]),
                "parameters": steps[name][k],
                "simplify": simplify_rows[k] if draws.simplified[k] else None,
                "deform": deform_rows[k] if draws.deformed[k] else None,
            }
            for k in range(len(draws.choice))
        ]

    def _draws(self, seed: int, epoch: int, indices: Sequence[int]) -> _Draws:
        draws = sample_uniforms(seed, epoch, indices, sum(_SECTIONS))
        chances, style, simplified, deformed, contour_field, deform_field = draws.split(_SECTIONS, 1)
        choice = torch.searchsorted(self.cumulated, chances[:, 0].contiguous(), right=True)
        return _Draws(
            choice=choice.clamp(max=len(self.names) - 1),
            simplified=chances[:, 1] < self.simplify,
            deformed=chances[:, 2] < self.deform,
            style=style,
            simplify=simplified,
            deform=deformed,
            contour_field=contour_field,
            deform_field=deform_field,
        )

    def _draw(self, photo: Tensor, seed: int, epoch: int, index: Sequence[int] | Tensor) -> Tensor:
        check_image(photo, (1, 3), "photo")
        draws = self._draws(seed, epoch, numbers_of(index, photo))

        sketch = photo.new_zeros(photo.shape[0], 1, *photo.shape[-2:])
        for k, name in enumerate(self.names):
            rows = (draws.choice == k).nonzero().flatten()
            if len(rows):
                style = Style(self.learned[name].draw, {}) if name in self.learned else STYLES[name]
                parameters = parameters_from_uniforms(self.ranges.get(name, {}), draws.style[rows])
                if style.uniforms:
                    parameters["uniforms"] = draws.contour_field[rows, : style.uniforms]
                on_device = rows.to(photo.device)
                sketch[on_device] = style.draw(photo[on_device], **parameters)

        rows = draws.simplified.nonzero().flatten()
        if len(rows):
            on_device = rows.to(photo.device)
            parameters = parameters_from_uniforms(self.ranges["simplify"], draws.simplify[rows])
            sketch[on_device] = simplify(sketch[on_device], **parameters)

        rows = draws.deformed.nonzero().flatten()
        if len(rows):
            on_device = rows.to(photo.device)
            parameters = parameters_from_uniforms(self.ranges["deform"], draws.deform[rows])
            sketch[on_device] = deform(sketch[on_device], draws.deform_field[rows], **parameters)
        return sketch


@dataclass(frozen=True)
class _Draws:
    """The random numbers of a batch of samples, each (B, ...): which steps are taken, and what they draw from."""

    choice: Tensor
    simplified: Tensor
    deformed: Tensor
    style: Tensor
    simplify: Tensor
    deform: Tensor
    contour_field: Tensor
    deform_field: Tensor


def _learned_styles(
    given: Mapping[str, str | os.PathLike[str] | LearnedStyle] | None,
) -> dict[str, LearnedStyle]:
    """Sorted by name, so that the order in a config file changes no drawing."""
    taken = sorted((given or {}).keys() & {*STYLES, "simplify", "deform"})
    if taken:
        raise ValueError(f"learned styles must have names of their own; got {taken}, which the mixture has already.")
    return {
        name: model if isinstance(model, LearnedStyle) else LearnedStyle(model)
        for name, model in sorted((given or {}).items())
    }


def _rows_of(ranges: Ranges, uniforms: Tensor) -> list[dict[str, float]]:
    columns = {name: values.tolist() for name, values in parameters_from_uniforms(ranges, uniforms).items()}
    return [{name: values[k] for name, values in columns.items()} for k in range(len(uniforms))]


def _merged_ranges(ranges: Mapping[str, Mapping[str, Sequence[float]]] | None) -> dict[str, Ranges]:
    merged: dict[str, dict[str, tuple[float, float]]] = {name: dict(style.ranges) for name, style in STYLES.items()}
    merged |= {"simplify": dict(SIMPLIFY_RANGES), "deform": dict(DEFORM_RANGES)}
    for step, replaced in (ranges or {}).items():
        if step not in merged:
            raise ValueError(f"ranges names an unknown step: got {step!r}, expected one of {sorted(merged)}.")
        for name, limits in replaced.items():
            if name not in merged[step]:
                raise ValueError(f"{step} draws no parameter {name!r}; it draws {sorted(merged[step])}.")
            try:
                low, high = (float(limit) for limit in limits)
            except (TypeError, ValueError):
                low, high = math.nan, math.nan
            if not -math.inf < low <= high < math.inf:
                raise ValueError(f"ranges.{step}.{name} must be two numbers, the lower first; got {limits!r}.")
            merged[step][name] = (low, high)
    return dict(merged)
