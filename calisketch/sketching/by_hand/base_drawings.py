"""What a photo is drawn from by hand: its lines, tones and flow, made once, because they are the costly part.

All of it is 8 bits at 256 pixels or less (128 for what has no detail), so that it is kept on disk in little room, and
so that, made in double precision, it is the same on every processor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import kornia
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from calisketch.checks import check_image
from calisketch.sketching.by_hand.strokes import Drawing, Strokes, looked_up, trace
from calisketch.sketching.contour import contour
from calisketch.sketching.fdog import fdog
from calisketch.sketching.kernels import REFERENCE_SIDE, gaussian, grey
from calisketch.sketching.learned import LearnedStyle
from calisketch.sketching.photocopy import photocopy
from calisketch.sketching.xdog import xdog

VERSION = 1  # of what `base_drawings` makes: to be raised with every change of it
_PLACES, _MARGIN = 8, 64  # a traced point is kept in eighths of a pixel, counted from so many pixels outside
_HALF = REFERENCE_SIDE // 2

#: What a photo's base drawings are kept as: name -> type and the shape, -1 where it varies.
KEPT: Mapping[str, tuple[type, tuple[int, ...]]] = {
    "full": (np.uint8, (4, REFERENCE_SIDE, REFERENCE_SIDE)),  # xdog, fdog, photocopy, tone
    "half": (np.uint8, (3, _HALF, _HALF)),  # figure, and the two parts of flow
    "points": (np.uint16, (-1, 2)),  # of all strokes
    "strokes": (np.uint16, (-1, 3)),  # of each, whether it is fine (1) or coarse (0), its points and its weight
}


@dataclass(frozen=True)
class BaseDrawings:
    """The base drawings of one photo, aligned as the project's frame has it.

    Attributes:
        xdog, fdog, photocopy: (256, 256), ink = 255.
        tone: (256, 256), the photo's darkness in relation to its skin: 0 from the skin's tone on, 255 at black.
        figure: (128, 128), 255 where the person is and 0 where the ground behind is, as far as colours tell.
        flow: (128, 128, 2), cos 2a and sin 2a of the direction a along the form, as 128 + 127 v; longer where clearer.
        fine, coarse: the centre lines of FDoG and of contour.
        artist: (256, 256), ink = 255: the photo as a learned hand draws it; None without one.
    """

    xdog: Drawing
    fdog: Drawing
    photocopy: Drawing
    tone: Drawing
    figure: Drawing
    flow: Drawing
    fine: Strokes
    coarse: Strokes
    artist: Drawing | None = None

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Plain arrays, to be kept (`KEPT`); without the artist's drawing, which another hand may replace."""
        both = self.fine.and_also(self.coarse)
        fine = np.arange(len(both.lengths)) < len(self.fine.lengths)
        return {
            "full": np.stack([self.xdog, self.fdog, self.photocopy, self.tone]),
            "half": np.stack([self.figure, self.flow[..., 0], self.flow[..., 1]]),
            "points": np.rint((both.points + _MARGIN) * _PLACES).astype(np.uint16),
            "strokes": np.stack([fine, both.lengths, np.rint(both.weights * 255)], 1).astype(np.uint16),
        }

    @classmethod
    def from_arrays(
        cls, kept: Mapping[str, NDArray[np.generic]], artist: NDArray[np.uint8] | None = None
    ) -> BaseDrawings:
        """From what `arrays` gave, and an artist's drawing.

        Raises:
            ValueError: something is missing, or has another shape or type.
        """
        for name, (dtype, shape) in KEPT.items():
            array = kept.get(name)
            fits = array is not None and array.dtype == dtype and array.ndim == len(shape)
            if array is None or not fits or any(had != want >= 0 for had, want in zip(array.shape, shape, strict=True)):
                had = "nothing" if array is None else f"{array.shape} {array.dtype}"
                raise ValueError(f"{name} must be {shape} {np.dtype(dtype)}; got {had}")
        points, strokes = kept["points"].astype(np.float64) / _PLACES - _MARGIN, kept["strokes"].astype(np.int64)
        lengths, weights = strokes[:, 1], strokes[:, 2] / 255.0
        if int(lengths.sum()) != len(points):
            raise ValueError(f"strokes have {int(lengths.sum())} points; got {len(points)}")
        every = Strokes(points, lengths, weights)
        full, half = kept["full"].astype(np.uint8), kept["half"].astype(np.uint8)
        flow = np.ascontiguousarray(half[1:].transpose(1, 2, 0))
        fine = strokes[:, 0] == 1
        xdog_ink, fdog_ink, photocopy_ink, tone = full
        strokes_of = every.chosen(fine), every.chosen(~fine)
        return cls(xdog_ink, fdog_ink, photocopy_ink, tone, half[0], flow, *strokes_of, artist)


@torch.no_grad()
def base_drawings(photo: Tensor, artist: LearnedStyle | None = None) -> BaseDrawings:
    """The base drawings of one photo.

    Args:
        photo: (1, 3, H, W) in [0, 1], an aligned face; another size is brought to 256 first. In double precision the
            result is the same on every processor.
        artist: a learned hand that is to draw the photo, too.

    Raises:
        TypeError, ValueError: not such a photo.
    """
    photo = _one_photo(photo)
    luma = grey(photo)
    lines = _bytes(fdog(photo, sigma_c=0.9, tau=0.85, iterations=1))
    # Outlines have no detail: half the size, a quarter of the time.
    outline = _bytes(contour(F.avg_pool2d(photo, 2), sigma=2.0, threshold=0.015, width=3.0))
    clear = _clearness(luma)
    tone = _tone(luma)
    return BaseDrawings(
        xdog=_bytes(xdog(photo, sigma=1.2, epsilon=-0.003)),
        fdog=lines,
        photocopy=_bytes(photocopy(photo)),
        tone=tone,
        figure=_figure(photo),
        flow=_flow(luma),
        fine=_kept_places(trace(lines, clear)),
        coarse=_kept_places(trace(outline, clear)),
        artist=None if artist is None else artist_drawing(photo, artist),
    )


def artist_drawing(photo: Tensor, artist: LearnedStyle) -> Drawing:
    """(256, 256), ink = 255: one photo (1, 3, H, W) as a learned hand draws it; as for `base_drawings`."""
    return _bytes(artist.draw(_one_photo(photo)))


def _one_photo(photo: Tensor) -> Tensor:
    check_image(photo, 3, "photo")
    if photo.shape[0] != 1:
        raise ValueError(f"photo must be one photo, (1, 3, H, W); got {tuple(photo.shape)}. Give photo[k : k + 1].")
    photo = photo.detach().cpu()
    photo = photo if photo.dtype == torch.float64 else photo.float()
    if photo.shape[-2:] != (REFERENCE_SIDE, REFERENCE_SIDE):
        size = (REFERENCE_SIDE, REFERENCE_SIDE)
        photo = F.interpolate(photo, size=size, mode="bilinear", align_corners=False, antialias=True).clamp(0, 1)
    return photo


def _kept_places(strokes: Strokes) -> Strokes:
    """As they come back from disk, so that a fresh base and a kept one draw the same."""
    points = np.rint((strokes.points + _MARGIN) * _PLACES) / _PLACES - _MARGIN
    return Strokes(points, strokes.lengths, np.rint(strokes.weights * 255) / 255)


def _bytes(ink: Tensor) -> Drawing:
    return (ink[0, 0].clamp(0, 1) * 255).round().to(torch.uint8).numpy()


def _clearness(luma: Tensor) -> Drawing:
    """Gradient magnitude against the photo's own strong edges; edges in the middle of the face count double."""
    gradient = kornia.filters.spatial_gradient(gaussian(luma, 1.2), mode="diff", order=1).squeeze(1)
    magnitude = (gradient**2).sum(1, keepdim=True).sqrt()
    strong = magnitude.flatten().kthvalue(int(0.97 * magnitude.numel())).values.clamp(min=0.01)
    return _bytes((magnitude / strong).clamp(0, 1) ** 0.5)


def _tone(luma: Tensor) -> Drawing:
    """How much darker than the skin: the tone of the cheeks and the forehead is the paper's."""
    smooth = gaussian(luma, 1.0)[0, 0]
    face = smooth[90:215, 80:176]
    skin = face.flatten().kthvalue(int(0.6 * face.numel())).values
    dark = smooth.flatten().kthvalue(int(0.01 * smooth.numel())).values
    span = (skin - dark).clamp(min=0.08)
    return _bytes(((skin - smooth) / span).clamp(0, 1)[None, None])


def _flow(luma: Tensor) -> Drawing:
    """The direction along the form from the smoothed structure tensor, at half the size."""
    half = F.avg_pool2d(luma, 2)[0, 0].double().numpy()
    half = cv2.GaussianBlur(half, (0, 0), 0.7, borderType=cv2.BORDER_REPLICATE)
    x, y = (cv2.Sobel(half, cv2.CV_64F, *order, borderType=cv2.BORDER_REPLICATE) for order in ((1, 0), (0, 1)))
    tensor = np.stack([x * x - y * y, 2 * x * y, x * x + y * y], -1)
    near, far = (cv2.GaussianBlur(tensor, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE) for sigma in (2.5, 9.0))
    mixed = near + 0.15 * far  # where nothing is near, the surroundings say how the form runs
    # (x^2 - y^2, 2 x y) points along twice the gradient's angle; along the form is a right angle away, so twice: minus.
    vector = -mixed[..., :2] / np.maximum(mixed[..., 2:], 1e-6)
    return np.rint(128 + 127 * vector.clip(-1, 1)).astype(np.uint8)


def _figure(photo: Tensor) -> Drawing:
    """Where the person is: colours of the face, hair and clothes against those of the upper corners and the rim.

    Two histograms of coarse colours, weighted by where a person usually is in the frame, tell each colour's share; that
    is smoothed, and joined with the usual place. Whole numbers and double precision: the same on every processor.
    """
    half = F.avg_pool2d(photo, 2)[0]
    levels = (half * 255).round().clamp(0, 255).to(torch.int64).numpy()
    y, x = np.mgrid[0:_HALF, 0:_HALF] * 2.0 + 0.5
    head = ((x - 128) / 84) ** 2 + ((y - 132) / 108) ** 2
    body = ((x - 128) / 128) ** 2 + ((y - 290) / 82) ** 2
    usual = 1 / (1 + np.exp(np.clip(3.5 * (np.minimum(head, body) - 1.15), -30, 30)))
    colour = (levels[0] // 16) * 256 + (levels[1] // 16) * 16 + levels[2] // 16
    share = usual
    for _ in range(3):
        counts = [
            np.bincount(colour.ravel(), weights.ravel(), 4096).reshape(16, 16, 16).astype(np.float64)
            for weights in (share, 1 - share)
        ]
        person, ground = (_spread(each) + 1.0 for each in counts)
        likely = np.log(person / ground).ravel()[colour]
        likely = cv2.GaussianBlur(likely, (0, 0), 1.5)
        belief = np.log(usual.clip(1e-3, 1 - 1e-3) / (1 - usual).clip(1e-3, 1 - 1e-3))
        share = 1 / (1 + np.exp(-np.clip(1.7 * likely + 1.5 * belief, -30, 30)))
    smooth = cv2.GaussianBlur(share, (0, 0), 1.5)
    return np.rint(255 * np.clip((smooth - 0.25) * 2, 0, 1)).astype(np.uint8)


def _spread(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each colour's count shared with its neighbours."""
    for axis in range(3):
        framed = np.pad(counts, [(1, 1) if axis == k else (0, 0) for k in range(3)])
        below, here, above = (np.take(framed, range(k, k + 16), axis) for k in range(3))
        counts = 0.25 * below + 0.5 * here + 0.25 * above
    return counts


def direction(flow: Drawing, points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of points (P, 2): the angle along the form (P,), up to half a turn, and how clear it is, in [0, 1]."""
    vector = (looked_up(flow, points) - 128) / 127
    return 0.5 * np.arctan2(vector[:, 1], vector[:, 0]), np.minimum(1, np.hypot(vector[:, 0], vector[:, 1]))
