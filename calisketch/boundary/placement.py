"""Where a sketch's face lies in the model's frame, and the way there and back.

The frame is the square the networks were trained on, with the eyes at their canonical places (`alignment`). A sketch
that is there already, within the tolerance of a hand, is not moved: it is scaled and padded to the square, no more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from . import alignment

Grey = NDArray[np.float32]
Align = Literal["auto"] | bool

# Everything below is stated for a frame of 256. Where a canonical head's ink lies, as measured on the artists'
# drawings of the CUHK training subjects: hair from about 6 to 18 below the top, chin at about 232, 176 to 200 wide.
_HEAD_TOP, _HEAD_BOTTOM, _HEAD_WIDTH = 12.0, 234.0, 182.0
# The detector's own error on drawn eyes: a few pixels in place, and up to an eighth in their distance.
_EYE_PLACE, _EYE_DISTANCE = 9.0, (0.86, 1.18)
_FADE = 0.15  # of the side
_TILT = 0.09  # five degrees
_DETECTION_SIDE = 192
_FAINT, _FULL, _MOST_GAIN = 0.5, 0.8, 6.0
_STRAY_GAP, _STRAY_SHARE = 0.03, 0.15  # half the gap, of the side; ink, of the drawing's


@dataclass(frozen=True)
class Placement:
    """The way from a sketch of (height, width) to the model's frame.

    Attributes:
        matrix: (2, 3), sketch -> frame.
        side: of the frame.
        height, width: of the sketch.
        found_by: "eyes" (detector), "ink" (its bounding box), or "frame" (only scaled and padded to the square).
    """

    matrix: NDArray[np.float64]
    side: int
    height: int
    width: int
    found_by: Literal["eyes", "ink", "frame"]

    @property
    def exact(self) -> bool:
        """Whether the sketch is the frame, pixel for pixel."""
        same = np.allclose(self.matrix, [[1, 0, 0], [0, 1, 0]], atol=1e-6)
        return bool(same) and self.height == self.side == self.width

    @property
    def pixels_of_256(self) -> float:
        """How many pixels of the sketch are one of a frame of 256."""
        return self.side / alignment.CANONICAL_SIDE / alignment.scale_of(self.matrix)

    def bring_in(self, ink: Grey) -> Grey:
        """Ink (height, width) -> (side, side); outside the sketch is paper; lines that shrinking pales are inked."""
        if self.exact:
            return ink
        placed = alignment.warp(ink, self.matrix, self.side, border=0.0)
        if alignment.scale_of(self.matrix) < 1:
            strokes = placed[placed > 0.05]
            level = float(np.percentile(strokes, 90)) if strokes.size else 1.0
            if level < _FAINT:
                placed = np.minimum(placed * min(_MOST_GAIN, _FULL / level), 1.0).astype(np.float32)
        return placed

    def picture_in(self, values: Grey) -> Grey:
        """A picture (height, width, C) on the sketch's sheet -> (side, side, C); outside the sheet it is 0."""
        return values if self.exact else alignment.warp(values, self.matrix, self.side, border=0.0)

    def drawing_back(self, ink: Grey, around: Grey) -> Grey:
        """Ink (side, side) -> (height, width); outside the frame are the person's own strokes, ``around``."""
        if self.exact:
            return ink
        back = alignment.warp(ink, alignment.invert(self.matrix), (self.height, self.width), border=0.0)
        return np.where(self._outside() > 0, around, back)

    def face_back(self, face: Grey) -> Grey:
        """A face (side, side, 3) -> (height, width, 3); outside the frame its edge goes on and fades to white paper."""
        if self.exact:
            return face
        shape = (self.height, self.width)
        inside = alignment.warp(face, alignment.invert(self.matrix), shape, border="edge")
        fade = np.clip(self._outside() / (_FADE * self.side), 0, 1)[..., None]
        return inside if not fade.any() else inside + fade * (1 - inside)

    def _outside(self) -> Grey:
        """How far each pixel of the sketch lies outside the frame, (height, width) in the frame's pixels."""
        columns = np.arange(self.width, dtype=np.float32)
        rows = np.arange(self.height, dtype=np.float32)[:, None]
        distance = np.zeros((self.height, self.width), dtype=np.float32)
        for weight_x, weight_y, shift in self.matrix.astype(np.float32):
            along = weight_x * columns + weight_y * rows + shift
            distance = np.maximum(distance, np.maximum(-0.5 - along, along - (self.side - 0.5)))
        return distance


def place(ink: Grey, side: int, align: Align = "auto") -> Placement:
    """Find a sketch's place in the frame.

    Args:
        ink: (H, W), strokes = 1.
        side: of the frame.
        align: False scales and pads the sheet to the square. True and "auto" bring the face to its canonical place,
            by its eyes where the detector finds plausible ones, else by the box its ink fills;
            "auto" leaves a face that is there already.

    Raises:
        ValueError: `align` is none of these.
    """
    if align not in ("auto", True, False):
        raise ValueError(f"align must be 'auto', True or False; got {align!r}.")
    height, width = ink.shape
    as_it_is = Placement(fit_to_square(height, width, side), side, height, width, "frame")
    if align is False:
        return as_it_is
    # The canonical frame is square; a sheet of another shape is another frame.
    stays = align == "auto" and abs(height - width) <= 0.05 * max(height, width)
    box = _InkBox.of(ink)
    eyes = _plausible_eyes(ink, box)
    if eyes is not None:
        if stays and _eyes_are_there(eyes, as_it_is):
            return as_it_is
        return Placement(alignment.similarity_from_eyes(*_levelled(eyes), side), side, height, width, "eyes")
    if stays and box.is_there(as_it_is):
        return as_it_is
    return Placement(box.to_head(side), side, height, width, "ink")


def fit_to_square(height: int, width: int, side: int) -> NDArray[np.float64]:
    """Scale the longer side to the frame's and centre; pixel areas, not pixel centres, are mapped."""
    scale = side / max(height, width)
    return np.array(
        [
            [scale, 0, (side - width * scale) / 2 + 0.5 * scale - 0.5],
            [0, scale, (side - height * scale) / 2 + 0.5 * scale - 0.5],
        ]
    )


@dataclass(frozen=True)
class _InkBox:
    """The box that nearly all of a sketch's ink lies in, and the head's own width in it, in pixels of the sketch."""

    left: float
    right: float
    top: float
    bottom: float
    head_left: float
    head_right: float

    @classmethod
    def of(cls, ink: Grey) -> _InkBox:
        strokes = np.where(ink > 0.25, ink, 0)
        if not strokes.any():
            strokes = ink
        strokes = _without_strays(strokes)
        left, right = _span(strokes.sum(0))
        top, bottom = _span(strokes.sum(1))
        # Shoulders are wider than the head, and under it.
        upper = strokes[int(top) : max(int(top) + 1, int(top + 0.6 * (bottom - top)))]
        head_left, head_right = _span(upper.sum(0)) if upper.any() else (left, right)
        return cls(left, right, top, bottom, head_left, head_right)

    def to_head(self, side: int) -> NDArray[np.float64]:
        """The matrix that brings the box to where a head's ink is in the frame, upright."""
        unit = side / alignment.CANONICAL_SIDE
        head_width = max(1.0, self.head_right - self.head_left)
        scale = _HEAD_WIDTH * unit / head_width
        if self.right - self.left < 1.15 * head_width:  # no shoulders: the box ends at the chin or the hair
            scale = float(np.sqrt(scale * (_HEAD_BOTTOM - _HEAD_TOP) * unit / max(1.0, self.bottom - self.top)))
        centre = (self.head_left + self.head_right) / 2
        return np.array([[scale, 0, 128 * unit - scale * centre], [0, scale, _HEAD_TOP * unit - scale * self.top]])

    def is_there(self, placement: Placement) -> bool:
        """Whether the head lies in the frame about as a canonical one does."""
        unit = placement.side / alignment.CANONICAL_SIDE
        scale, shift_x, shift_y = placement.matrix[0, 0], placement.matrix[0, 2], placement.matrix[1, 2]
        left, right = (scale * x / unit + shift_x / unit for x in (self.head_left, self.head_right))
        top, bottom = (scale * y / unit + shift_y / unit for y in (self.top, self.bottom))
        return 145 < right - left < 235 and abs((left + right) / 2 - 128) < 16 and top < 34 and bottom > 218


def _without_strays(strokes: Grey) -> Grey:
    """The drawing without what stands apart from it and weighs little, such as a caption or a page number."""
    height, width = strokes.shape
    small = min(1.0, 256 / max(height, width))
    shape = max(1, round(width * small)), max(1, round(height * small))
    seen = cv2.resize(strokes, shape, interpolation=cv2.INTER_AREA)
    reach = 2 * round(_STRAY_GAP * max(seen.shape)) + 1
    joined = cv2.dilate((seen > 0.02).astype(np.uint8), np.ones((reach, reach), np.uint8))
    count, labels, boxes, centres = cv2.connectedComponentsWithStats(joined)
    if count <= 2:  # the ground and one drawing
        return strokes
    weights = np.bincount(labels.ravel(), weights=seen.ravel(), minlength=count)
    weights[0] = 0
    main = int(weights.argmax())
    left, top, wide, high = boxes[main, :4]
    within = (np.abs(centres - (left + wide / 2, top + high / 2)) <= (wide / 2, high / 2)).all(1)  # eyes in an outline
    kept = within | (weights >= _STRAY_SHARE * weights[main])
    kept[0] = False
    mask = cv2.resize(kept[labels].astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    return strokes * mask


def _span(mass: NDArray[np.floating]) -> tuple[float, float]:
    """From where to where nearly all of a profile's mass lies; single specks do not count."""
    total = np.cumsum(mass, dtype=np.float64)
    low, high = np.searchsorted(total, (0.01 * total[-1], 0.99 * total[-1]))
    return float(low), float(high) + 1


def _plausible_eyes(ink: Grey, box: _InkBox) -> alignment.Eyes | None:
    """The detector's eyes, where it is there and what it finds can be the eyes of this drawing."""
    if not alignment.detector_available():
        return None
    paper = np.rint(255 * (1 - ink)).astype(np.uint8)
    eyes = _detected(np.repeat(paper[..., None], 3, axis=2))
    if eyes is None:
        return None
    (left_x, left_y), (right_x, right_y) = eyes
    apart = float(np.hypot(right_x - left_x, right_y - left_y))
    level = abs(right_y - left_y) < 0.7 * (right_x - left_x)
    inside = all(box.left < x < box.right and box.top < y < box.bottom for x, y in eyes)
    drawn = all(_has_ink(ink, x, y, 0.4 * apart) for x, y in eyes)
    plausible = level and inside and drawn and 0.12 < apart / (box.right - box.left) < 0.65
    return eyes if plausible else None


def _levelled(eyes: alignment.Eyes) -> alignment.Eyes:
    """The eyes at one height, where their tilt is no more than the detector's error."""
    (left_x, left_y), (right_x, right_y) = eyes
    if abs(right_y - left_y) > _TILT * (right_x - left_x):
        return eyes
    middle = (left_y + right_y) / 2
    return (left_x, middle), (right_x, middle)


def _detected(rgb: NDArray[np.uint8]) -> alignment.Eyes | None:
    """The detector's eyes, looked for twice: anywhere on the sheet, then in a softened close-up of what was found."""
    coarse = alignment.find_eyes(rgb, minimum_score=0.5)
    if coarse is None or coarse[0] == coarse[1]:
        return None
    # Its answer for lines depends on their size on the sheet; seen at one size it is the same up to its own error.
    matrix = alignment.similarity_from_eyes(*coarse, _DETECTION_SIDE)
    close = cv2.GaussianBlur(alignment.warp(rgb, matrix, _DETECTION_SIDE, border=255), (0, 0), 1.5)
    fine = alignment.find_eyes(np.asarray(close, dtype=np.uint8), minimum_score=0.5)
    if fine is None:
        return coarse
    back = alignment.invert(matrix)
    left, right = np.array(fine) @ back[:, :2].T + back[:, 2]
    return (float(left[0]), float(left[1])), (float(right[0]), float(right[1]))


def _has_ink(ink: Grey, x: float, y: float, reach: float) -> bool:
    rows = slice(max(0, int(y - reach)), max(0, int(y + reach)) + 1)
    columns = slice(max(0, int(x - reach)), max(0, int(x + reach)) + 1)
    return bool((ink[rows, columns] > 0.25).any())


def _eyes_are_there(eyes: alignment.Eyes, placement: Placement) -> bool:
    unit = placement.side / alignment.CANONICAL_SIDE
    left, right = (np.array(eyes) @ placement.matrix[:, :2].T + placement.matrix[:, 2]) / unit
    goal_left, goal_right = (np.array(eye) for eye in alignment.CANONICAL_EYES)
    off = np.abs((left + right) / 2 - (goal_left + goal_right) / 2).max()
    apart = (right[0] - left[0]) / (goal_right[0] - goal_left[0])
    level = abs(right[1] - left[1]) <= _EYE_PLACE
    return bool(off <= _EYE_PLACE and _EYE_DISTANCE[0] <= apart <= _EYE_DISTANCE[1] and level)
