"""Every figure of generated faces against one set of true photos, with whatever weights are on this computer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ... import weights
from ...networks import LPIPS
from ..device import chosen_device
from . import edgeconnect
from .distribution import InceptionFeatures, frechet_distance, gaussian_mmd, kernel_distance
from .edges import edge_counts, strokes_kept
from .identity import FaceIdentity
from .intervals import Interval, bootstrap, jackknife, paired_difference
from .perceptual import lpips
from .pixel import psnr, ssim

__all__ = [
    "EDGECONNECT",
    "METRICS",
    "PAPER",
    "SET_DISTANCES",
    "WEIGHTS",
    "Measures",
    "Row",
    "in_row",
    "line_figures",
    "paired_rows",
]

Array = NDArray[np.float64]

#: Each metric, how it is computed, for a report.
METRICS: dict[str, str] = {
    "psnr": "8-bit RGB, Eq. 11, dB; mean over images",
    "ssim": "8-bit RGB, Gaussian window of 11, sigma 1.5; mean over images",
    "lpips": "v0.1, AlexNet; mean over images",
    "identity": "cosine of ArcFace embeddings of face and photo, both aligned by the photo's YuNet points; mean",
    "fid": "pytorch-fid's Inception pool3, exact; biased upward at few images",
    "kid": "the same features, cubic kernel, unbiased over all images",
    "mmd": "the same features, Gaussian kernel as wide as the photos' distances, root; biased upward at few images",
    "grey_psnr": "EdgeConnect's: grey values, dB; mean over images",
    "grey_ssim": "EdgeConnect's: grey values, uniform window of 51; mean over images",
    "relative_l1": "EdgeConnect's MAE: sum |a - b| / sum (a + b) of grey values; mean over images",
}
PAPER = ("psnr", "ssim", "lpips", "identity", "fid", "kid")
EDGECONNECT = ("grey_psnr", "grey_ssim", "relative_l1", "fid")

#: What a metric cannot do without, by the names of `weights.SOURCES`.
WEIGHTS = {"lpips": ("lpips-alexnet",), "identity": ("arcface", "yunet")}
WEIGHTS |= dict.fromkeys(("fid", "kid", "mmd"), ("inception",))

_PIXELS: dict[str, Callable[[Tensor, Tensor], Array]] = {
    "psnr": psnr,
    "ssim": ssim,
    "grey_psnr": edgeconnect.grey_psnr,
    "grey_ssim": edgeconnect.grey_ssim,
    "relative_l1": edgeconnect.relative_l1,
}


@dataclass(frozen=True)
class Row:
    """Figures of one model or baseline: each with its interval, and image by image where there is such a thing."""

    name: str
    figures: Mapping[str, Interval]
    per_image: Mapping[str, list[Any]]
    note: str = ""


def paired_rows(faces: Sequence[Row], resamples: int) -> list[Row]:
    """By how much the first row exceeds each other one on the same images; nothing of rows without values of images."""
    first, rows = faces[0], []
    for other in faces[1:]:
        figures = {}
        for metric, values in other.per_image.items():
            pairs = np.array([first.per_image[metric], values], dtype=np.float64)
            pairs = pairs[:, np.isfinite(pairs).all(0)]  # the PSNR of equal images has no difference
            if pairs.shape[1] >= 2:
                figures[metric] = paired_difference(*pairs, resamples=resamples)
        if figures:
            rows.append(Row(f"{first.name} - {other.name}", figures, {}))
    return rows


class Measures:
    """What compares faces with one set of photos; the photos' features are computed once.

    Args:
        photo: (N, 3, H, W) in [0, 1], the true photos.
        metrics: names of `METRICS`; `PAPER` if None.
        required: raise where a weights file is missing; otherwise such metrics are left out, and `absent` says why.
        resamples: of the bootstrap intervals.
        networks: for tests and other networks: "lpips", "identity" and "inception" ready to use.
        device: of LPIPS and Inception, where they are not among `networks`. ArcFace and YuNet are OpenCV's, on the CPU.

    Raises:
        ValueError: an unknown metric or device.
        weights.MissingWeights, ImportError: with `required`, a file or package is not there; the message says how to
            get it.
    """

    def __init__(
        self,
        photo: Tensor,
        metrics: Sequence[str] | None = None,
        *,
        required: bool = False,
        resamples: int = 2000,
        networks: Mapping[str, Any] | None = None,
        device: str | torch.device = "cpu",
    ) -> None:
        wanted = list(dict.fromkeys(PAPER if metrics is None else metrics))
        if unknown := [name for name in wanted if name not in METRICS]:
            raise ValueError(f"metrics must be some of {', '.join(METRICS)}; got {', '.join(map(str, unknown))}.")
        self.photo = photo
        self.resamples = resamples
        self.device = chosen_device(device)
        self.absent: dict[str, str] = {}
        self._networks = dict(networks or {})
        for name in wanted:
            network = _network_of(name)
            if name not in WEIGHTS or network in self._networks:
                continue
            try:
                self._networks[network] = _LOADERS[network](self.device)
            except (weights.MissingWeights, ImportError) as error:
                if required:
                    raise
                self.absent[name] = str(error)
        if (count := len(photo)) < 3:
            few = f"it needs at least 3 images; there are {count}"
            self.absent |= {name: few for name in SET_DISTANCES if name in wanted and name not in self.absent}
        self.names = [name for name in wanted if name not in self.absent]

    @property
    def identity(self) -> FaceIdentity | None:
        """The embedding network, if identity is measured."""
        return self._networks.get("identity") if "identity" in self.names else None

    def sources(self) -> dict[str, str]:
        """The weights file that each measured metric rests on, by the metric's name."""
        by_metric = {name: _network_of(name) for name in self.names}
        used = {name: self._networks[key] for name, key in by_metric.items() if key in self._networks}
        return {name: str(getattr(network, "source", type(network).__name__)) for name, network in used.items()}

    def of(self, name: str, face: Tensor, *, features: Array | None = None, sets: bool = True, note: str = "") -> Row:
        """All figures of faces (N, 3, H, W), each made for the photo of its place.

        features: of the faces, where they are known already (see `features`). sets: also the figures of whole sets of
        images (FID, KID, MMD), which cost a tenth of a second an image.
        """
        per_image = {metric: _PIXELS[metric](self.photo, face) for metric in self.names if metric in _PIXELS}
        if "lpips" in self.names:
            per_image["lpips"] = lpips(self.photo, face, self._networks["lpips"])
        if self.identity is not None:
            _, points, own = self._embedded
            per_image["identity"] = (own * self.identity.embed(face, points)).sum(1).clip(-1, 1)
        figures = {metric: self.interval(values) for metric, values in per_image.items()}
        if sets and self.of_sets and len(face) >= 3:
            figures |= self._distances(self.features(face) if features is None else features, paired=True)
        return in_row(name, {metric: figures[metric] for metric in self.names if metric in figures}, per_image, note)

    def of_a_set(self, name: str, features: Array, note: str = "") -> Row:
        """FID, KID and MMD alone, of features (M, D) of photos that belong to nobody in the test set."""
        figures = self._distances(features, paired=False) if self.of_sets and len(features) >= 3 else {}
        return in_row(name, figures, {}, note)

    @property
    def of_sets(self) -> list[str]:
        """Which of FID, KID and MMD are measured."""
        return [name for name in SET_DISTANCES if name in self.names]

    def features(self, images: Tensor) -> Array:
        """Inception's features (N, D) of images (N, 3, H, W), if FID, KID or MMD is measured."""
        assert self.of_sets, "no figure of whole sets is measured"
        found: Array = self._networks["inception"](images)
        return found

    def gallery(self, photos: Tensor) -> Array:
        """Embeddings (M, D) of training photos, for `nearest`."""
        assert self.identity is not None, "identity is not measured"
        return self.identity.embed(photos)

    def nearest(self, face: Tensor | None, gallery: Array) -> tuple[NDArray[np.int64], Array]:
        """The nearest training person of each face (None: of each true photo): places (N,) and cosines (N,)."""
        assert self.identity is not None, "identity is not measured"
        _, points, own = self._embedded
        cosine = (own if face is None else self.identity.embed(face, points)) @ gallery.T
        return cosine.argmax(1), cosine.max(1)

    def interval(self, values: ArrayLike) -> Interval:
        """The mean of values per image with its 95 % bootstrap interval; without bounds where too few have a value."""
        given = np.asarray(values, dtype=np.float64)
        kept = given[~np.isnan(given)]
        if len(kept) < 2:
            return Interval(float(kept.mean()) if len(kept) else np.nan, np.nan, np.nan, len(kept))
        return bootstrap(given, resamples=self.resamples)

    @cached_property
    def _embedded(self) -> tuple[FaceIdentity, Array, Array]:
        assert self.identity is not None
        points = self.identity.points(self.photo)
        return self.identity, points, self.identity.embed(self.photo, points)

    @cached_property
    def real_features(self) -> Array:
        """Inception's features (N, D) of the true photos, if a figure of whole sets is measured."""
        return self.features(self.photo)

    def _distances(self, made: Array, *, paired: bool) -> dict[str, Interval]:
        real = self.real_features
        groups = 100 if max(len(made), len(real)) <= 300 else 20  # a Fréchet distance of thousands takes seconds
        return {name: jackknife(SET_DISTANCES[name], real, made, paired=paired, groups=groups) for name in self.of_sets}


def line_figures(measures: Measures, name: str, drawing: Tensor, target: Tensor, sketch: Tensor | None) -> Row:
    """Precision and recall of a line drawing (N, 1, H, W) against a target at 0.5, exact and within 2 pixels.

    sketch: what the person drew, to measure the share of it that is kept; None: not measured.
    """
    per_image: dict[str, Array] = {}
    for tolerance, suffix in ((0, "exact"), (2, "2px")):
        scores = edge_counts(drawing, target, 0.5, tolerance).per_image()
        per_image |= {
            f"precision_{suffix}": np.asarray(scores.precision),
            f"recall_{suffix}": np.asarray(scores.recall),
        }
    if sketch is not None:
        per_image["strokes_kept"] = strokes_kept(sketch, drawing)
    figures = {metric: measures.interval(values) for metric, values in per_image.items()}
    return in_row(name, figures, per_image)


def in_row(name: str, figures: Mapping[str, Interval], per_image: Mapping[str, Array], note: str = "") -> Row:
    """A row with plain lists instead of arrays."""
    return Row(name, figures, {metric: np.asarray(values).tolist() for metric, values in per_image.items()}, note)


def _network_of(metric: str) -> str:
    """The name, in `_LOADERS`, of the network that a metric looks through, if it does."""
    return "inception" if metric in SET_DISTANCES else metric


def _kernel(real: Array, made: Array) -> float:
    """KID's estimate over all images, without the subsets, which a jackknife has no use for."""
    return kernel_distance(real, made, subsets=2).value


#: How far apart two sets of Inception features are, (N, D) and (M, D), by the metric's name.
SET_DISTANCES: dict[str, Callable[[Array, Array], float]] = {
    "fid": frechet_distance,
    "kid": _kernel,
    "mmd": gaussian_mmd,
}

_LOADERS: dict[str, Callable[[torch.device], Any]] = {
    "inception": lambda device: InceptionFeatures.from_pretrained(device=device),
    "lpips": lambda device: LPIPS.from_pretrained().to(device),
    "identity": lambda device: FaceIdentity.from_pretrained(),
}
