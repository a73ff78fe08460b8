"""The styles' formulas once more, one image at a time with NumPy, SciPy and scikit-image: for parity and for speed.

Written from the papers' equations and the package's stated defaults, without its code. Images are (H, W) or (H, W, 3)
float arrays in [0, 1], drawings (H, W) with ink = 1. Lengths are in pixels of a 256 pixel image.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import correlate1d, gaussian_filter, map_coordinates
from scipy.special import erfinv
from skimage.color import rgb2gray

Array = NDArray[np.floating]


def luma(photo: Array) -> Array:
    # scikit-image's rgb2gray has Rec. 709 weights; the package states Rec. 601.
    return photo if photo.ndim == 2 else rgb2gray(photo * (np.array([0.299, 0.587, 0.114]) / [0.2125, 0.7154, 0.0721]))


def blur(image: Array, sigma: float) -> Array:
    return gaussian_filter(image, sigma, mode="nearest", truncate=4.0)


def scale(image: Array) -> float:
    return min(image.shape[:2]) / 256.0


def cubic_step(value: Array, low: float, high: float) -> Array:
    u = np.clip((value - low) / (high - low), 0.0, 1.0)
    return u**2 * (3.0 - 2.0 * u)


def bilinear(image: Array, x: Array, y: Array, order: int = 1, mode: str = "nearest") -> Array:
    return map_coordinates(image, [y, x], order=order, mode=mode)


def xdog(
    photo: Array,
    sigma: float = 1.4,
    k: float = 1.6,
    gamma: float = 0.99,
    epsilon: float = -0.002,
    phi: float = 200.0,
    specks: float = 0.1,
) -> Array:
    image = luma(photo)
    inner = max(sigma * scale(image), 0.35)
    difference = blur(image, inner) - gamma * blur(image, k * inner)
    ink = 1.0 - np.where(difference >= epsilon, 1.0, 1.0 + np.tanh(phi * (difference - epsilon)))
    if specks > 0:
        ink = ink * cubic_step(blur(ink, max(4.0 * scale(image), 1.0)), 0.75 * specks, specks)
    return ink


def photocopy(
    photo: Array,
    mask_radius: float = 18.0,
    sharpness: float = 0.92,
    black: float = 0.1,
    white: float = 0.5,
    cut: float = 0.88,
    floor: float = 0.05,
) -> Array:
    image = luma(photo)
    root = math.sqrt(2.0 * math.log(255.0))
    sharp = blur(image, max((max(1.0, 10.0 * (1.0 - sharpness)) + 1.0) / root * scale(image), 0.4))
    mask = blur(image, max((mask_radius + 1.0) / root * scale(image), 0.8))
    ratio = (sharp + floor) / (mask + floor)

    def quantile(values: Array, share: float) -> float:
        histogram = np.bincount(np.minimum((values * 1000).astype(int), 1999), minlength=2000)
        over = np.flatnonzero(histogram.cumsum() > share * len(values))
        return 0.0 if len(values) == 0 else over[0] / 1000.0

    down = max(cut - quantile(ratio[ratio < cut], black), 1e-3)
    up = max(quantile(ratio[(ratio >= cut) & (ratio < 2.0)], 1.0 - white) - cut, 1e-3)
    lift = np.minimum(up, ratio - cut) / up
    dark = sharp * (down - np.minimum(down, cut - ratio)) / down
    return 1.0 - np.clip(np.where(ratio < cut, dark, lift + sharp - lift * sharp), 0.0, 1.0)


def sobel_gradient(image: Array) -> tuple[Array, Array]:
    def along(axis: int) -> Array:
        slope = correlate1d(image, [-1.0, 0.0, 1.0], axis=axis, mode="nearest")
        return correlate1d(slope, [1.0, 2.0, 1.0], axis=1 - axis, mode="nearest") / 8.0

    return along(1), along(0)


def edge_tangent_flow(image: Array, radius: float = 5.0, iterations: int = 2) -> tuple[Array, Array]:
    gradient_x, gradient_y = sobel_gradient(image)
    magnitude = np.hypot(gradient_x, gradient_y)
    safe = np.maximum(magnitude, 1e-8)
    safe[magnitude < 1e-6] = np.inf  # rounding noise of a flat area has no direction
    tangent_x, tangent_y = -gradient_y / safe, gradient_x / safe
    relative = magnitude / max(magnitude.max(), 1e-8)
    exact = max(radius * scale(image), 1.0)
    reach = int(exact)
    height, width = image.shape
    padded_relative = np.pad(relative, reach)
    for _ in range(iterations):
        padded_x, padded_y = np.pad(tangent_x, reach), np.pad(tangent_y, reach)
        sum_x, sum_y = np.zeros_like(image), np.zeros_like(image)
        for dy in range(-reach, reach + 1):
            for dx in range(-reach, reach + 1):
                if math.hypot(dx, dy) > exact:
                    continue
                window = np.s_[reach + dy : reach + dy + height, reach + dx : reach + dx + width]
                there_x, there_y = padded_x[window], padded_y[window]
                dot = tangent_x * there_x + tangent_y * there_y
                by_magnitude = 0.5 * (1.0 + np.tanh(padded_relative[window] - relative))
                weight = np.sign(dot) * by_magnitude * np.abs(dot)
                sum_x += weight * there_x
                sum_y += weight * there_y
        length = np.maximum(np.hypot(sum_x, sum_y), 1e-8)
        tangent_x, tangent_y = sum_x / length, sum_y / length
    return tangent_x, tangent_y


def across_flow(image: Array, flow: tuple[Array, Array], sigma: float, rho: float, taps: int = 13) -> Array:
    y, x = np.mgrid[: image.shape[0], : image.shape[1]].astype(image.dtype)
    offsets = np.linspace(-2.5, 2.5, taps) * 1.6 * sigma
    centre, surround = np.exp(-0.5 * (offsets / sigma) ** 2), np.exp(-0.5 * (offsets / (1.6 * sigma)) ** 2)
    weights = centre / centre.sum() - rho * surround / surround.sum()
    return sum(w * bilinear(image, x - u * flow[1], y + u * flow[0]) for w, u in zip(weights, offsets, strict=True))


def along_flow(response: Array, flow: tuple[Array, Array], sigma: float, steps: int = 8) -> Array:
    grid_y, grid_x = np.mgrid[: response.shape[0], : response.shape[1]].astype(response.dtype)
    step = 2.0 * sigma / steps
    weights = np.exp(-0.5 * (2.0 * np.arange(steps + 1) / steps) ** 2)
    total = response.copy()
    for sign in (1.0, -1.0):
        x, y = grid_x, grid_y
        direction_x, direction_y = sign * flow[0], sign * flow[1]
        for n in range(1, steps + 1):
            x, y = x + step * direction_x, y + step * direction_y
            total += weights[n] * bilinear(response, x, y)
            there_x, there_y = bilinear(flow[0], x, y, order=0), bilinear(flow[1], x, y, order=0)
            turn = np.where(direction_x * there_x + direction_y * there_y < 0.0, -1.0, 1.0)
            direction_x, direction_y = turn * there_x, turn * there_y
    return total / (weights[0] + 2.0 * weights[1:].sum())


def fdog(
    photo: Array,
    sigma_c: float = 1.0,
    sigma_m: float = 3.0,
    rho: float = 0.997,
    tau: float = 0.8,
    phi: float = 30.0,
    softness: float = 0.3,
) -> Array:
    image = luma(photo)
    sigma = max(sigma_c * scale(image), 0.25)
    flow = edge_tangent_flow(blur(image, sigma))
    response = along_flow(across_flow(image, flow, sigma, rho), flow, max(sigma_m * scale(image), 0.5))
    tone = np.where(response < 0.0, 1.0 + np.tanh(phi * response), 1.0)
    soft = max(min(softness, 2.0 * (1.0 - tau)), 1e-6)
    return np.clip((tau + 0.5 * soft - tone) / soft, 0.0, 1.0)


def centre_lines(
    field: Array, sigma: float, width: float, low: float, high: float, profile: float | None = None
) -> Array:
    sigma_pixels = max(sigma * scale(field), 0.8)
    smooth = blur(field, sigma_pixels)
    g_x = correlate1d(smooth, [-0.5, 0.0, 0.5], axis=1, mode="nearest")
    g_y = correlate1d(smooth, [-0.5, 0.0, 0.5], axis=0, mode="nearest")
    h_xx = correlate1d(smooth, [1.0, -2.0, 1.0], axis=1, mode="nearest")
    h_yy = correlate1d(smooth, [1.0, -2.0, 1.0], axis=0, mode="nearest")
    h_xy = correlate1d(g_x, [-0.5, 0.0, 0.5], axis=0, mode="nearest")
    values, vectors = np.linalg.eigh(np.stack((np.stack((h_xx, h_xy), -1), np.stack((h_xy, h_yy), -1)), -2))
    normal = vectors[..., :, 0]  # eigh sorts upwards
    slope = g_x * normal[..., 0] + g_y * normal[..., 1]
    quotient = np.abs(slope) / np.maximum(-values[..., 0], 1e-6)
    spread = math.sqrt(2.0) * sigma_pixels if profile is None else max(profile * scale(field), 1.0)
    distance = 2.0 * quotient / (1.0 + np.sqrt(1.0 + 4.0 * (quotient / spread) ** 2))
    coverage = np.clip(0.5 * max(width * scale(field), 1.0) + 0.5 - distance, 0.0, 1.0)
    descent = np.abs(g_x * vectors[..., 0, 1] + g_y * vectors[..., 1, 1])
    strength = (-values[..., 0] - np.maximum(-values[..., 1], 0.0)) * sigma_pixels**2 - descent * sigma_pixels
    return coverage * cubic_step(strength, low, high)


def smooth_field(uniforms: Array, cells: int, shape: tuple[int, int]) -> Array:
    """Keys' cubic convolution (a = -0.75) of a cells x cells lattice of normal numbers, corners on corners."""
    lattice = math.sqrt(2.0) * erfinv(np.clip(2.0 * uniforms - 1.0, -0.9999, 0.9999)).reshape(cells, cells)

    def weights(length: int) -> Array:
        position = np.linspace(0.0, cells - 1.0, length)
        matrix = np.zeros((length, cells))
        base = np.minimum(np.floor(position).astype(int), cells - 1)
        for tap in (-1, 0, 1, 2):
            d = np.abs(position - (base + tap))
            near = (1.25 * d - 2.25) * d * d + 1.0
            far = -0.75 * (((d - 5.0) * d + 8.0) * d - 4.0)
            np.add.at(matrix, (np.arange(length), np.clip(base + tap, 0, cells - 1)), np.where(d <= 1, near, far))
        return matrix

    return weights(shape[0]) @ lattice @ weights(shape[1]).T


def displace(sketch: Array, uniforms: Array, amount: float, cells: int) -> Array:
    y, x = np.mgrid[: sketch.shape[0], : sketch.shape[1]].astype(sketch.dtype)
    shift_x = smooth_field(uniforms[: cells**2], cells, sketch.shape)
    shift_y = smooth_field(uniforms[cells**2 :], cells, sketch.shape)
    pixels = amount * scale(sketch)
    return bilinear(sketch, x + pixels * shift_x, y + pixels * shift_y, mode="grid-constant")


def contour(
    photo: Array,
    sigma: float = 2.2,
    length: float = 8.0,
    threshold: float = 0.02,
    width: float = 2.2,
    displacement: float = 1.5,
    uniforms: Array | None = None,
) -> Array:
    image = luma(photo)
    smooth = blur(image, max(sigma * scale(image), 0.8))
    magnitude = np.hypot(
        correlate1d(smooth, [-0.5, 0.0, 0.5], axis=1, mode="nearest"),
        correlate1d(smooth, [-0.5, 0.0, 0.5], axis=0, mode="nearest"),
    )
    rank = int(0.97 * magnitude.size) - 1
    strong = max(np.partition(magnitude.ravel(), rank)[rank], 0.02 / scale(image))
    edges = magnitude / strong
    flow = edge_tangent_flow(smooth, iterations=1)
    edges = along_flow(edges, flow, max(length * scale(image), 1.0), steps=10)
    drawing = centre_lines(edges, 1.5, width, threshold, 1.4 * threshold, profile=math.hypot(sigma, 1.5))
    return drawing if uniforms is None else displace(drawing, uniforms, displacement, 5)


def simplify(sketch: Array, sigma: float = 1.8, width: float = 2.2, threshold: float = 0.1) -> Array:
    return centre_lines(sketch, sigma, width, threshold, 1.4 * threshold)


def deform(
    sketch: Array, uniforms: Array, warp: float = 2.0, drop: float = 0.1, mouth: float = 8.0, jaw: float = 12.0
) -> Array:
    warp_numbers, drop_numbers, gap = uniforms[:72], uniforms[72:556], uniforms[556:]
    level = 0.8 * math.sqrt(2.0) * erfinv(1.0 - 2.0 * drop)
    kept = cubic_step(level - smooth_field(drop_numbers, 22, sketch.shape), -0.1, 0.15)
    y, x = np.mgrid[: sketch.shape[0], : sketch.shape[1]].astype(sketch.dtype)
    x, y = (x + 0.5) * 256.0 / sketch.shape[1], (y + 0.5) * 256.0 / sketch.shape[0]
    from_mouth = np.hypot(x - 128.0 - 22.0 * (2.0 * gap[0] - 1.0), y - 198.0 - 9.0 * (2.0 * gap[1] - 1.0))
    kept = kept * cubic_step(from_mouth, mouth, 1.4 * mouth)
    u, v = (x - 128.0) / 68.0, (y - 150.0) / 88.0
    off_line = cubic_step(np.abs(np.hypot(u, v) - 1.0) * 78.0, 14.0, 18.0)
    for k in (0, 1):
        away = np.abs(np.degrees(np.arctan2(v, u)) - (20.0 + 140.0 * gap[2 + k]))
        kept = kept * np.maximum(cubic_step(away, jaw * gap[4 + k], 1.3 * jaw * gap[4 + k]), off_line)
    return displace(sketch * kept, warp_numbers, warp, 6)
