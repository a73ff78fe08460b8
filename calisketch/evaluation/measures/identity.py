"""Whose face it is: the cosine of ArcFace embeddings (Deng et al., CVPR 2019), and the nearest training person.

A face is warped to 112 x 112 by five points before it is embedded. The points are those that YuNet finds in the true
photo, for the photo and for the face generated from its sketch alike: a generated face does not gain by an alignment of
its own. Where YuNet finds no face, the canonical eyes stand in.

On CUHK's test photos at 128 pixels the same photo scores 1, the same photo at half the resolution .94, another person
.12 on average and .44 at most. A generated face's cosine is read against those, and the baselines of the same run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ... import weights
from ...boundary.alignment import canonical_eyes, find_points, warp
from ...checks import check_image, check_same_shape
from .pixel import to_uint8

Array = NDArray[np.float64]

SIDE = 112
#: Where ArcFace was trained to have left eye, right eye, nose, left and right corner of the mouth, (x, y) of 112 x 112.
TEMPLATE: Array = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)

_SMALLEST_SIDE = 32


class FaceIdentity:
    """Embeddings of faces in the canonical alignment.

    Args:
        network: (B, 3, 112, 112) float32 RGB in [-1, 1] to (B, D); `from_pretrained` has ArcFace.
        detector: (H, W, 3) uint8 RGB to five points (5, 2), or None where it sees no face. None as detector: every face
            is aligned by the canonical eyes alone.
        source: the weights file, for a report.

    ArcFace runs in cv2.dnn, whose networks must not be called from several threads at once.
    """

    def __init__(
        self,
        network: Callable[[NDArray[np.float32]], NDArray[Any]],
        detector: Callable[[NDArray[np.uint8]], Array | None] | None = find_points,
        source: str = "a network given by the caller",
    ) -> None:
        self.network = network
        self.detector = detector
        self.source = source

    @classmethod
    def from_pretrained(cls, path: str | Path | None = None, *, detect: bool = True) -> FaceIdentity:
        """ArcFace (MobileFaceNet, trained on WebFace600K), with YuNet for the points.

        path: the `.onnx` file; None: `weights.locate("arcface")`. Its licence is for non-commercial research.
        detect: False does without YuNet, and aligns every face by the canonical eyes; the figures are others then.
        Raises weights.MissingWeights for either file (how to get it), ValueError for a file that OpenCV cannot read.
        """
        path = weights.locate("arcface") if path is None else Path(path)
        if not path.is_file():
            raise weights.MissingWeights(f"no ArcFace weights at {path}. Leave `path` out to search the usual folders.")
        if detect:
            weights.locate("yunet")
        try:
            network = cv2.dnn.readNetFromONNX(str(path))
        except cv2.error as error:
            raise ValueError(f"{path} is not a network that OpenCV reads: {error}. Get it again.") from error

        def embed(faces: NDArray[np.float32]) -> NDArray[Any]:
            network.setInput(faces)
            return np.asarray(network.forward())

        return cls(embed, find_points if detect else None, path.name)

    def points(self, photo: Tensor) -> Array:
        """The five points of each photo, (B, 5, 2) in its pixels; a row of NaN where no face is found.

        Args:
            photo: (B, 3, H, W) in [0, 1].
        """
        images = _squares(photo, "photo")
        found = np.full((len(images), 5, 2), np.nan)
        if self.detector is not None:
            for number, image in enumerate(images):
                if (points := self.detector(image)) is not None:
                    found[number] = points
        return found

    def embed(self, images: Tensor, points: Array | None = None, batch_size: int = 32) -> Array:
        """Embeddings of unit length, (B, D) float64: the dot product of two is their cosine.

        Args:
            images: (B, 3, S, S) in [0, 1], in the canonical alignment, sides of at least 32; rounded to 8 bit first.
            points: (B, 5, 2), those of the true photos (see `points`), NaN for the canonical eyes; None: the images'
                own.

        Raises:
            TypeError, ValueError: not square images, or points of another number.
        """
        pixels = _squares(images, "images")
        points = self.points(images) if points is None else points
        if np.shape(points) != (len(pixels), 5, 2):
            raise ValueError(f"points must be ({len(pixels)}, 5, 2), five for each image; got {np.shape(points)}.")
        faces = [
            warp(image, similarity_to_template(five, image.shape[0]), SIDE, border=0.0)
            for image, five in zip(pixels, points, strict=True)
        ]
        scaled = (np.stack(faces).transpose(0, 3, 1, 2).astype(np.float32) - 127.5) / 127.5
        parts = [self.network(scaled[start : start + batch_size]) for start in range(0, len(scaled), batch_size)]
        found = np.concatenate(parts).astype(np.float64)
        return found / np.linalg.norm(found, axis=1, keepdims=True)


def similarity_to_template(points: Array, size: int) -> Array:
    """The similarity that takes a face to ArcFace's frame: least squares over five points (Umeyama, 1991).

    Args:
        points: (5, 2), (x, y) in pixels of an image of `size`; with a NaN, its canonical eyes are taken instead.

    Returns:
        (2, 3), image -> 112 x 112.

    Raises:
        ValueError: not (5, 2), or all points coincide.
    """
    if np.shape(points) != (5, 2):
        raise ValueError(f"points must be (5, 2): two eyes, nose, two corners of the mouth; got {np.shape(points)}.")
    known = np.array(canonical_eyes(size)) if np.isnan(points).any() else np.asarray(points, dtype=np.float64)
    source = known @ [1, 1j]  # a similarity is multiplication by one complex number, then a shift
    target = TEMPLATE[: len(known)] @ [1, 1j]
    spread = source - source.mean()
    if np.abs(spread).max() < 1e-6:
        raise ValueError(f"the five points must be different ones; got {np.asarray(points).tolist()}.")
    turn = np.vdot(spread, target) / np.vdot(spread, spread)
    shift = target.mean() - turn * source.mean()
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def identity_cosine(photo: Tensor, face: Tensor, network: FaceIdentity) -> Array:
    """The cosine of each generated face with its true photo, both aligned by the photo's points.

    Args:
        photo, face: (B, 3, S, S) in [0, 1], in the canonical alignment. network: `FaceIdentity.from_pretrained()`.

    Returns:
        (B,) in [-1, 1]; 1 for equal images.

    Raises:
        TypeError, ValueError: not square images of one shape.
    """
    check_image(face, 3, "face")
    check_same_shape(photo, face, "photo", "face")
    points = network.points(photo)
    return (network.embed(photo, points) * network.embed(face, points)).sum(1).clip(-1, 1)


@dataclass(frozen=True)
class NearestIdentity:
    """The training photo nearest to each face, and the one nearest to its true photo; (B,) each.

    A model that copies people it was trained on has a `cosine` well above `photo_cosine`: how near the training people
    come to strangers is what a number has to be held against.
    """

    index: NDArray[np.int64]
    cosine: Array
    photo_index: NDArray[np.int64]
    photo_cosine: Array


def nearest_training_identity(
    face: Tensor, photo: Tensor, training: Tensor | Array, network: FaceIdentity
) -> NearestIdentity:
    """For each generated face the training photo of greatest cosine (memorisation), and the same for its true photo.

    Args:
        face, photo: (B, 3, S, S) in [0, 1]; faces are aligned by their photo's points.
        training: (N, 3, S, S), aligned by their own points; or their embeddings (N, D) from `network.embed`, which
            saves time with several models.
        network: `FaceIdentity.from_pretrained()`.

    Raises:
        TypeError, ValueError: not square images of one shape, or no training photo.
    """
    check_image(face, 3, "face")
    check_same_shape(photo, face, "photo", "face")
    gallery = network.embed(training) if isinstance(training, Tensor) else np.asarray(training, dtype=np.float64)
    points = network.points(photo)
    faces, photos = network.embed(face, points), network.embed(photo, points)
    if gallery.ndim != 2 or len(gallery) == 0 or gallery.shape[1] != faces.shape[1]:
        raise ValueError(
            f"training must be photos, or their embeddings (N, {faces.shape[1]}); got shape {gallery.shape}. "
            "Compute them with network.embed(photos)."
        )
    near_face, near_photo = faces @ gallery.T, photos @ gallery.T
    return NearestIdentity(near_face.argmax(1), near_face.max(1), near_photo.argmax(1), near_photo.max(1))


def _squares(images: Tensor, name: str) -> NDArray[np.uint8]:
    """(B, 3, S, S) in [0, 1] -> (B, S, S, 3) uint8; raises for what cannot be in the canonical alignment."""
    check_image(images, 3, name)
    height, width = images.shape[-2:]
    if height != width or height < _SMALLEST_SIDE:
        raise ValueError(
            f"{name} must be square, with sides of at least {_SMALLEST_SIDE}, in the canonical alignment; got "
            f"{height}x{width}. calisketch.datasets.prepare_photos aligns photos."
        )
    return to_uint8(images)
