"""The benchmark's sketches, frozen: a manifest names each one's style, what was drawn by chance, seed and SHA-256.

CUHK's test photos have sketches by the paper's mixture; the validation and test splits of the general photos have
drawings by the drawing mixture.

A figure of today can then be compared with one of next year: whatever changes a test sketch, a style's formula, a range
of the mixture, a library, or the preparation of the photos, fails the evaluation instead of moving its figures.

Sketches are drawn from double precision photos and rounded to 8 bits, as a PNG would hold them. In single precision
about one in 200,000 pixels rounds the other way on a processor with another vector unit, which is one in five sketches
of the test set at 128 pixels; in double precision the widest difference that was found is 7e-13.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from ...sketching.styles import SketchMixture, sample_seed
from ...whole_files import written_whole
from ..measures.pixel import to_uint8

__all__ = [
    "BENCHMARK_SEED",
    "ChangedSketches",
    "FrozenSketches",
    "Mixture",
    "benchmark_sketches",
    "draw_frozen",
    "freeze",
    "general_drawings",
]

BENCHMARK_SEED = 2026
FORMAT, FORMAT_VERSION = "calisketch-sketches", 1


class Mixture(Protocol):
    """What draws, and can say what: `SketchMixture` or `DrawingMixture`."""

    def __call__(self, photo: Tensor, *, seed: int, epoch: int, index: Sequence[int] | Tensor) -> Tensor:
        """Photos (B, 3, H, W) -> sketches (B, 1, H, W)."""
        ...

    def decisions(self, *, seed: int, epoch: int, index: Sequence[int] | Tensor) -> list[dict[str, Any]]:
        """What is drawn for each of ``index``: {"style": its name, ...}."""
        ...


class ChangedSketches(ValueError):
    """A test sketch is not the frozen one; the message says which, what changed, and what to do."""


@dataclass(frozen=True)
class FrozenSketches:
    """The manifest of a test set's sketches.

    Args:
        seed, epoch: of the mixture; a sketch's index is its place in the test split.
        sketches: name -> {"index", "seed", what the mixture decided ("style", ...), "sha256", "photo_sha256"}, the last
            two by the side of the images, as text: {"128": ..., "256": ...}. Hashes are of the 8-bit values row by row
            (ink = 255; photos RGB).
        source: in words, what it was made from.
    """

    seed: int
    epoch: int
    sketches: Mapping[str, Mapping[str, Any]]
    source: str = ""
    sizes: tuple[int, ...] = field(default=())

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> FrozenSketches:
        """From a file written by `write`; FileNotFoundError, or ValueError for a file of another kind."""
        path = Path(path)
        try:
            plain = json.loads(path.read_text(encoding="utf-8"))
            if plain["format"] != FORMAT or plain["format_version"] != FORMAT_VERSION:
                raise ValueError(f"it is of format {plain['format']!r}, version {plain['format_version']!r}")
            return cls(plain["seed"], plain["epoch"], plain["sketches"], plain["source"], tuple(plain["sizes"]))
        except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{path} is no manifest of frozen sketches, version {FORMAT_VERSION}: {error!r}. Get it again from the "
                "project, or write it anew with tools/freeze_sketches.py."
            ) from error

    def write(self, path: str | os.PathLike[str]) -> Path:
        """As JSON, aside and renamed."""
        plain = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "source": self.source,
            "seed": self.seed,
            "epoch": self.epoch,
            "sizes": list(self.sizes),
            "sketches": self.sketches,
        }
        path = Path(path)
        with written_whole(path) as aside:
            aside.write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")
        return path

    def covers(self, names: Sequence[str], size: int, seed: int) -> str | None:
        """None if these samples' sketches are frozen, else why they are not, in words."""
        if list(names) != list(self.sketches):
            return "the photos are not those of the frozen test set"
        if seed != self.seed:
            return f"seed {seed} instead of {self.seed}"
        if size not in self.sizes:
            return f"{size} px, and the manifest has {' and '.join(map(str, self.sizes))} px"
        return None

    def check(self, photo: Tensor, sketch: Tensor, mixture: Mixture) -> None:
        """Compares drawn sketches (N, 1, H, W) of photos (N, 3, H, W), in the manifest's order, with the frozen ones.

        Raises:
            ChangedSketches: another hash, whatever the reason.
        """
        size = str(photo.shape[-1])
        decisions = mixture.decisions(seed=self.seed, epoch=self.epoch, index=range(len(self.sketches)))
        changed, of_photos, of_decisions = [], 0, 0
        for entry, decided, name, photo_hash, sketch_hash in zip(
            self.sketches.values(), decisions, self.sketches, _hashes(photo), _hashes(sketch), strict=True
        ):
            if sketch_hash != entry["sha256"][size]:
                changed.append(name)
                of_photos += photo_hash != entry["photo_sha256"][size]
                of_decisions += not _same(decided, entry)
        if changed:
            said = _what_changed(changed, len(self.sketches), size, of_photos, of_decisions, self.source)
            raise ChangedSketches(said)


def draw_frozen(
    mixture: Callable[..., Tensor],
    photo: Tensor,
    seed: int,
    *,
    first_index: int = 0,
    batch_size: int = 25,
    device: str | torch.device | None = None,
) -> Tensor:
    """Sketches (N, 1, H, W) of photos (N, 3, H, W), in 8 bits' steps: drawn in double precision, then rounded.

    mixture: a `SketchMixture`, or whatever else is called as it is; then as many channels as that makes.
    device: where to draw, which needs double precision; None: where the photos are. Frozen sketches are drawn on a CPU.

    The index of a sketch is the place of its photo, counted from `first_index`, in epoch 0. Returns float32 in [0, 1],
    ink = 1, on the photos' device.
    """
    drawn = []
    for first in range(0, len(photo), batch_size):
        some = photo[first : first + batch_size].to(device=device, dtype=torch.float64)
        index = range(first_index + first, first_index + first + len(some))
        drawn.append(mixture(some, seed=seed, epoch=0, index=index).to(photo.device))
    return (torch.cat(drawn).clamp(0, 1) * 255).round().float() / 255


def freeze(
    names: Sequence[str],
    photos_by_size: Mapping[int, Tensor],
    *,
    seed: int = BENCHMARK_SEED,
    source: str = "",
    mixture: Mixture | None = None,
) -> FrozenSketches:
    """The manifest of a mixture's sketches of photos {size: (N, 3, size, size)}; None: of `SketchMixture()`."""
    mixture = SketchMixture() if mixture is None else mixture
    sketches: dict[str, dict[str, Any]] = {}
    for index, (name, decided) in enumerate(
        zip(names, mixture.decisions(seed=seed, epoch=0, index=range(len(names))), strict=True)
    ):
        sketches[name] = {"index": index, "seed": sample_seed(seed, 0, index), **_rounded(decided)}
        sketches[name] |= {"sha256": {}, "photo_sha256": {}}
    for size, photo in sorted(photos_by_size.items()):
        drawn = draw_frozen(mixture, photo, seed)
        for name, photo_hash, sketch_hash in zip(names, _hashes(photo), _hashes(drawn), strict=True):
            sketches[name]["sha256"][str(size)] = sketch_hash
            sketches[name]["photo_sha256"][str(size)] = photo_hash
    return FrozenSketches(seed, 0, sketches, source, tuple(sorted(photos_by_size)))


def benchmark_sketches() -> Path:
    """The manifest that comes with the project: inside an installed package, or in a checkout's data folder."""
    return _manifest("cuhk_test_sketches.json")


def general_drawings(split: str) -> Path:
    """The manifest of the drawings of the general photos, "validation" or "test"; it comes with the project.

    Raises:
        ValueError: another split.
    """
    if split not in ("validation", "test"):
        raise ValueError(f"drawings are frozen for validation and test; got {split!r}.")
    return _manifest(f"general_{split}_drawings.json")


def _manifest(name: str) -> Path:
    package = Path(__file__).resolve().parents[2]
    for folder in (package / "data", package.parent / "data"):
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(
        f"no data/{name} beside or in {package}. Install calisketch again, or write the manifest anew with "
        "tools/freeze_sketches.py."
    )


def _hashes(images: Tensor) -> list[str]:
    return [hashlib.sha256(image.tobytes()).hexdigest() for image in to_uint8(images)]


def _rounded(decided: Any) -> Any:
    """Six digits of every number: what single precision holds."""
    if isinstance(decided, Mapping):
        return {name: _rounded(value) for name, value in decided.items()}
    return float(f"{decided:.6g}") if isinstance(decided, float) else decided


def _same(decided: Any, entry: Any) -> bool:
    if isinstance(decided, Mapping):
        return isinstance(entry, Mapping) and all(_same(value, entry.get(name)) for name, value in decided.items())
    if isinstance(decided, float):
        return isinstance(entry, int | float) and math.isclose(decided, entry, rel_tol=1e-5, abs_tol=1e-9)
    return bool(decided == entry)


def _what_changed(changed: Sequence[str], count: int, size: str, of_photos: int, of_decisions: int, source: str) -> str:
    shown = ", ".join(changed[:5]) + (f" and {len(changed) - 5} more" if len(changed) > 5 else "")
    said = f"{len(changed)} of {count} test sketches at {size} px are not the frozen ones: {shown}. "
    if of_photos:
        said += (
            f"The photos under {of_photos} of them differ as well: prepare them as the frozen ones were, with the "
            "versions of constraints.txt: CUHK's official release (200 x 250 pixels) with calisketch prepare-cuhk, "
            f"general photos with calisketch prepare. The frozen ones are: {source or 'not described'}. "
        )
    elif of_decisions:
        said += (
            f"The mixture's styles or parameters changed for {of_decisions} of them: its default weights, "
            "probabilities or ranges are not those of the manifest. "
        )
    else:
        said += "Photos and parameters are the same, so a style is drawn otherwise: by other code, or other versions. "
    return said + (
        "Undo that, or, if it is meant, write the manifest anew with tools/freeze_sketches.py and measure every model "
        "again: figures on other sketches do not compare. frozen=false evaluates anyway, and says so."
    )
