"""What a person hands over is measured before it is read, and refused by its own name."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from calisketch.boundary import decoding
from calisketch.boundary.images import LARGEST_SKETCH, SketchError
from calisketch.studio import uploads
from calisketch.studio.uploads import UploadError, checked_picture, checked_upload


def sparse(path: Path, size: int) -> Path:
    with open(path, "wb") as stream:
        stream.truncate(size)
    return path


def test_limits_are_below_the_librarys() -> None:
    assert uploads.MOST_BYTES == 20 * 2**20 < decoding.LARGEST_FILE
    assert uploads.MOST_PIXELS == 24_000_000 < LARGEST_SKETCH
    assert uploads.MOST_UNPACKED == 200 * 2**20
    assert uploads.MOST_FILES == 200


def test_a_file_is_taken_up_to_the_last_byte(tmp_path: Path) -> None:
    just = sparse(tmp_path / "just.png", uploads.MOST_BYTES)
    assert checked_upload(just) is just
    with pytest.raises(UploadError, match=r"over.png has 20\.1 MiB; expected at most 20\. Scale"):
        checked_upload(sparse(tmp_path / "over.png", uploads.MOST_BYTES + 1))
    with pytest.raises(UploadError, match="is empty"):
        checked_upload(sparse(tmp_path / "none.png", 0))


@pytest.mark.parametrize("check", [checked_upload, checked_picture])
def test_what_is_no_file_is_refused_at_once_and_without_its_folder(check: object, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "circle.png").symlink_to("circle.png")
    for name in (".", "pipe.png", "circle.png", "missing.png", "a\0b.png", "x" * 3000):
        with pytest.raises(UploadError) as caught:
            check(tmp_path / name)  # type: ignore[operator]
        assert len(str(caught.value)) < 300
        if name != ".":
            assert str(tmp_path) not in str(caught.value)
    with pytest.raises(UploadError, match="device; expected a file"):
        checked_upload(Path(os.devnull))


def test_a_picture_comes_decoded_and_upright(tmp_path: Path) -> None:
    given = np.random.default_rng(0).integers(0, 256, (30, 20, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    Image.fromarray(given).save(tmp_path / "a.webp.txt", "PNG", exif=exif)  # told by its bytes, not its name
    found = checked_picture(tmp_path / "a.webp.txt")
    assert found.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(found), given[::-1, ::-1])


def test_pixels_are_counted_in_the_header_before_anything_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("was decoded"))
    for kind, data in (("png", b""), ("ppm", b"P6 6000 5000 255\n" + bytes(10))):
        if not data:
            header = b"IHDR" + struct.pack(">IIBBBBB", 6000, 5000, 8, 2, 0, 0, 0)
            data = b"\x89PNG\r\n\x1a\n\0\0\0\r" + header + struct.pack(">I", zlib.crc32(header))
        path = tmp_path / f"bomb.{kind}"
        path.write_bytes(data)
        with pytest.raises(SketchError, match=f"bomb.{kind} has 6000 x 5000 pixels; expected at most 24 million"):
            checked_picture(path)


def test_pictures_that_are_none_are_refused_by_name(tmp_path: Path) -> None:
    Image.new("L", (40, 40)).save(tmp_path / "whole.png")
    whole = (tmp_path / "whole.png").read_bytes()
    Image.new("L", (5, 5)).save(tmp_path / "small.png")
    for name, data, said in (
        ("text.png", b"no picture", "is not an image"),
        ("cut.png", whole[:-15], "cut short"),
        ("svg.png", b"<svg/>", "is not an image"),
        ("small.png", (tmp_path / "small.png").read_bytes(), "expected a drawing of 16"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(SketchError, match=f"^{name} .*{said}") as caught:
            checked_picture(tmp_path / name)
        assert str(tmp_path) not in str(caught.value)


def test_a_name_never_steers_a_terminal_or_fills_a_page(tmp_path: Path) -> None:
    with pytest.raises(UploadError) as caught:
        checked_upload(tmp_path / ("\x1b[31m\n" + "y" * 200))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 250
