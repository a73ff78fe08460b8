"""Colour domain: a photo's colours as a few flat areas, PI-REC's second input and Cali-Sketch's optional one.

PI-REC (You et al. 2019), section 3.1: a median filter, the colours reduced by K-means to the mean of each cluster, and
a median filter again, which takes the sharpness off the borders. The paper gives no sizes; the ranges are those of the
authors' tool *(a reading)*: first filter 15 to 35, K from 2 to 5, second filter 1, 3 or 5 pixels of a 256 pixel image.
Drawing them anew for every sample is the paper's hyperparameter confusion.

OpenCV does both, image by image on the CPU: it belongs into a loading worker (:func:`calisketch.datasets.photos_with`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from calisketch.checks import check_image
from calisketch.options import whole_number
from calisketch.sketching.edges import REFERENCE_SIZE

__all__ = ["ColorDomain", "color_domain"]

ATTEMPTS = 3  # starts of K-means, of which the tightest clustering is taken
SAMPLE = 8192  # pixels that they are tried on, at even distances; the best goes on with all
ITERATIONS = 30
TOLERANCE = 0.5  # levels of 255: K-means ends when no centre moves further
LARGEST_MEDIAN = 255  # beyond it OpenCV's 16 bit histograms overflow


def color_domain(photo: Tensor, *, blur: int, colours: int, second_blur: int, seed: int) -> Tensor:
    """Median filter, K-means, median filter: the photo in a few flat colours.

    Args:
        photo: (3, H, W), RGB in [0, 1]. It is rounded to 8 bits, as OpenCV's large median needs.
        blur, second_blur: side of the two median windows, odd, in pixels of a 256 pixel image. Other sizes scale them
            by the shorter side, to the nearest odd number: at 64 pixels 25 becomes 7, and the second filter (1, 3 or
            5) becomes 1, which is none.
        colours: K, the largest number of colours. A photo that has fewer keeps its own.
        seed: of the starts of K-means. The result depends on nothing else that is random: OpenCV's own generator, one
            for each thread, is neither used nor changed.

    Returns:
        (3, H, W) in [0, 1], the means of at most `colours` clusters, rounded to 8 bits; where three areas meet, the
        second filter, which takes each channel alone, may mix them. On the photo's device, in its type; no gradient.

    Raises:
        TypeError, ValueError: a photo of another kind; as `checked_settings`.
    """
    if isinstance(photo, Tensor) and photo.ndim != 3:
        raise ValueError(
            f"photo must be one image (3, H, W); got {tuple(photo.shape)}. Take them one by one: photos[k]."
        )
    check_image(photo[None] if isinstance(photo, Tensor) else photo, 3, "photo")
    side = min(photo.shape[-2:])
    settings = checked_settings(side, blur=blur, colours=colours, second_blur=second_blur, seed=seed)
    windows = [_window(name, settings[name], side) for name in ("blur", "second_blur")]
    levels = photo.detach().permute(1, 2, 0).mul(255).round().clamp(0, 255).byte().cpu().numpy()
    flat = _quantised(_median(levels, windows[0]), settings["colours"], settings["seed"])
    flat = _median(flat, windows[1])
    return torch.from_numpy(flat).permute(2, 0, 1).to(device=photo.device, dtype=photo.dtype).div(255)


def checked_settings(side: int, *, blur: Any, colours: Any, second_blur: Any, seed: Any) -> dict[str, int]:
    """The settings of :func:`color_domain`, as Python's own whole numbers, for an image of this shorter side.

    Raises:
        ValueError: one that is no whole number; a window that is even, not positive, or wider than 255 pixels after
            scaling; `colours` below 1; a seed of more than 64 bits.
    """
    settings = {"blur": _odd("blur", blur), "second_blur": _odd("second_blur", second_blur)}
    for name, size in settings.items():
        _window(name, size, side)
    settings["colours"] = whole_number("colours", colours, 1, remedy="It is how many there may be.")
    settings["seed"] = _seed(seed)
    return settings


class ColorDomain:
    """The maker of colour domains: hyperparameter confusion, other settings for every seed.

    Args:
        blur: smallest and largest first median window, both odd; the odd sizes between them are equally likely.
        colours: smallest and largest K of K-means; the whole numbers between them are equally likely.
        second_blur: the second median windows to choose from, all odd, equally likely.

    Raises:
        ValueError: a range that is not two numbers, the lower first; an even or not positive window; K below 1.
    """

    def __init__(
        self,
        blur: Sequence[int] = (15, 35),
        colours: Sequence[int] = (2, 5),
        second_blur: Sequence[int] = (1, 3, 5),
    ) -> None:
        for name, limits in (("blur", blur), ("colours", colours)):
            if len(limits) != 2 or limits[0] > limits[1]:
                raise ValueError(f"{name} must be two numbers, the lower first; got {list(limits)}.")
        if len(second_blur) == 0:
            raise ValueError("second_blur must name at least one window; got none. [1] leaves the filter out.")
        for name, sizes in (("blur", blur), ("second_blur", second_blur)):
            for size in sizes:
                _odd(name, size)
        low, high = (whole_number("colours", count, 1) for count in colours)
        self.blur = tuple(range(int(blur[0]), int(blur[1]) + 1, 2))
        self.colours = tuple(range(low, high + 1))
        self.second_blur = tuple(int(size) for size in second_blur)

    @classmethod
    def fixed(cls) -> ColorDomain:
        """One setting for every photo: K 3 (the paper, section 4.2), windows of 25 and 3 *(a reading)*."""
        return cls(blur=(25, 25), colours=(3, 3), second_blur=(3,))

    def settings(self, seed: int) -> dict[str, int]:
        """What a call with this seed hands to :func:`color_domain`: {"blur", "colours", "second_blur", "seed"}."""
        generator = torch.Generator().manual_seed(_seed(seed))
        draws = torch.rand(3, generator=generator, dtype=torch.float64).tolist()
        choices = (self.blur, self.colours, self.second_blur)
        blur, colours, second = (choice[int(draw * len(choice))] for choice, draw in zip(choices, draws, strict=True))
        start = int(torch.randint(2**62, (), generator=generator))
        return {"blur": blur, "colours": colours, "second_blur": second, "seed": start}

    def __call__(self, photo: Tensor, seed: int) -> Tensor:
        """photo: (3, H, W), RGB in [0, 1]. Returns its colour domain (3, H, W) in [0, 1], a pure function of both."""
        return color_domain(photo, **self.settings(seed))


def _odd(name: str, size: Any) -> int:
    fault = f"{name} must be an odd number of pixels, at least 1, as a median window is; got {size!r}."
    try:
        number = whole_number(name, size, 1)
    except ValueError as error:
        raise ValueError(fault) from error
    if number % 2 == 0:
        raise ValueError(f"{fault} Take {number - 1} or {number + 1}.")
    return number


def _seed(seed: Any) -> int:
    return whole_number("seed", seed, -(2**63), 2**64 - 1)  # what torch's generators take


def _window(name: str, size: int, side: int) -> int:
    """The odd window nearest to `size`, which is stated for 256 pixels, in an image of this shorter side."""
    window = 2 * int(size * side / REFERENCE_SIZE // 2) + 1
    if window > LARGEST_MEDIAN:
        raise ValueError(
            f"{name} of {size} is a window of {window} pixels in an image of {side}, above the {LARGEST_MEDIAN} that "
            "OpenCV's median takes. Take a smaller window, or scale the photo down first."
        )
    return window


def _median(levels: NDArray[np.uint8], window: int) -> NDArray[np.uint8]:
    """Median of each channel over a square window, the border repeated. levels: (H, W, 3)."""
    return levels if window == 1 else np.asarray(cv2.medianBlur(levels, window), dtype=np.uint8)


def _quantised(levels: NDArray[np.uint8], colours: int, seed: int) -> NDArray[np.uint8]:
    """(H, W, 3) with every pixel the mean colour of its K-means cluster."""
    pixels = levels.reshape(-1, 3).astype(np.float32)
    clusters = min(colours, _distinct(pixels))
    generator = torch.Generator().manual_seed(seed)
    some = pixels[:: -(-len(pixels) // SAMPLE)]
    if _distinct(some) < clusters:
        some = pixels
    tried = [_clustered(some, _spread_centres(some, clusters, generator)) for _ in range(ATTEMPTS)]
    centres = min(tried, key=lambda found: found[0])[1]
    _, centres, labels = _clustered(pixels, centres)
    shown: NDArray[np.uint8] = np.clip(np.round(centres), 0, 255).astype(np.uint8)[labels]
    return shown.reshape(levels.shape)


def _distinct(pixels: NDArray[np.float32]) -> int:
    """How many different colours there are."""
    return len(np.unique(pixels @ np.array([65536, 256, 1], np.float32)))  # below 2^24: exact in single precision


def _clustered(
    pixels: NDArray[np.float32], centres: NDArray[np.float32]
) -> tuple[float, NDArray[np.float32], NDArray[np.int32]]:
    """K-means from these centres on: how far the pixels lie from theirs, the centres (K, 3), and each one's number."""
    criteria = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, ITERATIONS, TOLERANCE)
    start = _nearest(pixels, centres).astype(np.int32)[:, None]
    spread, labels, found = cv2.kmeans(pixels, len(centres), start, criteria, 1, cv2.KMEANS_USE_INITIAL_LABELS)
    return float(spread), np.asarray(found, dtype=np.float32), np.asarray(labels, dtype=np.int32).ravel()


def _spread_centres(pixels: NDArray[np.float32], count: int, generator: torch.Generator) -> NDArray[np.float32]:
    """k-means++ (Arthur and Vassilvitskii 2007): each next centre is a pixel, drawn by its squared distance to them."""
    draws = torch.rand(count, generator=generator, dtype=torch.float64).numpy()
    chosen = [pixels[int(draws[0] * len(pixels))]]
    distance = np.full(len(pixels), np.inf)
    for draw in draws[1:]:
        distance = np.minimum(distance, np.square(pixels - chosen[-1], dtype=np.float64).sum(1))
        cumulated = distance.cumsum()
        # From the right: a pixel at distance 0, which is a centre already, is never drawn.
        place = int(np.searchsorted(cumulated, draw * cumulated[-1], side="right"))
        chosen.append(pixels[place if place < len(pixels) else int(distance.argmax())])
    return np.stack(chosen)


def _nearest(pixels: NDArray[np.float32], centres: NDArray[np.float32]) -> NDArray[np.int64]:
    """Index of the nearest centre of every pixel."""
    return np.stack([np.square(pixels - centre).sum(1) for centre in centres]).argmin(0)
