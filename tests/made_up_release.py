"""A small made-up release in CUFS's shapes and names: drawn faces as photos, their inverted outlines as drawings."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from calisketch.datasets.drawn.drawn_face import draw_face

PHOTOS = {"f-005-01": "train", "f1-005-01": "validation", "m-008-01": "train", "m1-030-01": "test"}
SKETCHES = {
    "f-005-01": "F2-005-01-sz1",
    "f1-005-01": "f1-005-01-sz1",
    "m-008-01": "M2-008-01-sz1",
    "m1-030-01": "m1-030-01-sz1",
}


def jpeg(image: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=95)
    return stream.getvalue()


def pair(index: int) -> tuple[bytes, bytes]:
    """A 200x250 photo and its drawing, dark on white."""
    photo, contour = draw_face(200, 0, index)
    frame = np.pad(photo, ((25, 25), (0, 0), (0, 0)), mode="edge")
    drawing = np.pad(255 - np.round(contour * 255).astype(np.uint8), ((25, 25), (0, 0)), constant_values=255)
    return jpeg(frame), jpeg(drawing)


def all_pairs() -> dict[str, tuple[bytes, bytes]]:
    """Every subject's photo and drawing."""
    return {name: pair(index) for index, name in enumerate(PHOTOS)}


def write_release(root: Path, pairs: dict[str, tuple[bytes, bytes]]) -> Path:
    """Photos and drawings of training in zip archives, those of testing in folders, as CUFS names them."""
    root.mkdir()
    with (
        zipfile.ZipFile(root / "CUHK_training_cropped_photos.zip", "w") as photos,
        zipfile.ZipFile(root / "CUHK_training_cropped_sketches.zip", "w") as sketches,
    ):
        for name in ("f-005-01", "f1-005-01", "m-008-01"):
            photos.writestr(f"{name}.jpg", pairs[name][0])
            sketches.writestr(f"any/{SKETCHES[name]}.jpg", pairs[name][1])
        photos.writestr("__MACOSX/._f-005-01.jpg", b"x")
        photos.writestr("readme.txt", b"x")
    for folder, data, name in (("photo", 0, "m1-030-01"), ("sketch", 1, SKETCHES["m1-030-01"])):
        (root / f"CUHK_testing_cropped_{folder}").mkdir()
        (root / f"CUHK_testing_cropped_{folder}" / f"{name}.jpg").write_bytes(pairs["m1-030-01"][data])
    (root / "CUHK_testing_cropped_photo" / "Thumbs.db").write_bytes(b"x")
    return root
