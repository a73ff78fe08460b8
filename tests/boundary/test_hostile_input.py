"""Hostile files, made from seeds, through every way in: refused with a message, or answered rightly, and nothing else.

`tools/hostile.py` pushes more than 1,000 through; here are two of each kind, the worst hundred, in the same way: in a
process of their own, with a bound on its memory and on the time, and a look around it afterwards.
"""

from __future__ import annotations

import io
import os
import re
import struct
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageFile

from calisketch import CaliSketch
from calisketch.__main__ import main
from calisketch.boundary import images
from calisketch.datasets.preparing.sources import Unreadable, decode_rgb
from calisketch.networks import EncoderDecoder
from calisketch.training.settings import check_stages


@pytest.fixture(scope="module")
def hostile() -> Any:
    from tools.hostile import __main__ as module

    return module


@pytest.fixture(scope="module")
def records(hostile: Any, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("hostile") / "work"
    hostile.write(folder, seed=11, share=0.01)
    return hostile.run_watched(folder, each=2)


@pytest.fixture
def sheet() -> np.ndarray:
    """(64, 64) uint8, black strokes on white."""
    made = np.full((64, 64), 255, np.uint8)
    made[10:54, 20] = made[10:54, 44] = made[30, 12:52] = 0
    return made


@pytest.mark.slow
def test_of_every_kind_of_hostile_file_none_does_harm_or_gets_a_wrong_answer(records: list[dict[str, Any]]) -> None:
    bad = [f"{record['kind']}: {record['name']}: {record['why']}" for record in records if record["outcome"] == "BAD"]
    assert bad == []
    assert len(records) >= 100
    counts = Counter(record["outcome"] for record in records)
    assert counts["refused"] > 40
    assert counts["right"] > 20


@pytest.mark.slow
def test_no_hostile_file_takes_more_memory_or_time_than_is_stated(hostile: Any, records: list[dict[str, Any]]) -> None:
    assert max(record["peak"] for record in records) < hostile.MEMORY_BOUND
    assert max(record["seconds"] for record in records) < hostile.TIME_BOUND


def _encoded(pixels: np.ndarray, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 2}])
def test_a_jpeg_cut_anywhere_and_ended_again_is_never_half_grey(sheet: np.ndarray, options: dict[str, Any]) -> None:
    whole = _encoded(sheet, "JPEG", **options)
    expected = decode_rgb(whole)
    start = whole.rindex(b"\xff\xda") if not options.get("progressive") else whole.index(b"\xff\xda")
    for cut in range(start + 20, len(whole) - 2, 5):
        try:
            got = decode_rgb(whole[:cut] + b"\xff\xd9")
        except Unreadable:
            continue
        # Cut between two scans a progressive JPEG is whole, and coarser.
        assert options.get("progressive") or np.array_equal(got, expected)
        assert np.abs(got.astype(int) - expected).mean() < 30


def test_many_restarts_or_fill_bytes_in_a_jpeg_cost_neither_memory_nor_time(sheet: np.ndarray) -> None:
    whole = _encoded(sheet, "JPEG")
    with pytest.raises(Unreadable, match="restarts"):
        decode_rgb(whole[:-2] + b"\xff\xd0" * 300_000 + whole[-2:])
    began = time.monotonic()
    assert np.array_equal(decode_rgb(whole[:-2] + b"\xff" * 100_000 + whole[-2:]), decode_rgb(whole))
    decode_rgb(whole[:-2] + b"\xff" * 100_000 + b"\0" + whole[-2:])
    decode_rgb(whole[:2] + b"\xff" * 100_000 + b"\0" + whole[2:])
    assert time.monotonic() - began < 10, "these took a minute and more, four times as long for twice as many"


def test_what_is_slow_to_read_is_refused_before_it_is_read(sheet: np.ndarray) -> None:
    gif = _encoded(sheet, "GIF")
    end = gif.rindex(b"\0;")
    with pytest.raises(Unreadable, match="blocks in a row"):
        decode_rgb(gif[:end] + b"\1\0" * 1_000_001 + gif[end:])
    with pytest.raises(Unreadable, match="written as text and larger than 32 MB"):
        decode_rgb(b"P3 3000 3000 255\n" + b"7 " * 2**24)
    assert decode_rgb(b"P2 16 16 255\n" + b"7 " * 256).shape == (16, 16, 3)


@pytest.mark.parametrize("fill", [b"", b"\xff\xff"])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_with_restarts_is_whole_with_fill_bytes_or_without(
    sheet: np.ndarray, progressive: bool, fill: bytes
) -> None:
    whole = _encoded(sheet, "JPEG", restart_marker_blocks=2, progressive=progressive)
    filled = re.sub(rb"\xff[\xd0-\xd7\xda]", lambda mark: fill + mark[0], whole)
    assert np.array_equal(decode_rgb(filled), np.asarray(Image.open(io.BytesIO(whole)).convert("RGB")))


# What cameras and scanners get wrong: a negative size, a text that is a number, two values in place of one.
@pytest.mark.parametrize("entry", [(0x11A, 10, 1, 44), (0x10E, 12, 1, 44), (0x100, 9, 1, 2**32 - 5)])
def test_a_photo_on_its_side_is_taken_upright_whatever_else_its_tags_say(
    sheet: np.ndarray, entry: tuple[int, int, int, int]
) -> None:
    tags = struct.pack("<HHHII", 2, 0x112, 3, 1, 6) + struct.pack("<HHII", *entry) + bytes(4)
    exif = b"Exif\0\0II*\0\x08\0\0\0" + (tags + bytes(6) + struct.pack("<ii", -1, 2**31 - 1))
    turned = _encoded(np.rot90(sheet).copy(), "JPEG", quality=100, exif=exif)
    loaded = Image.open(io.BytesIO(turned))
    loaded.load()
    for got in (decode_rgb(turned)[..., 0], images.read(loaded).luma * 255):
        assert np.abs(got.astype(float) - sheet).mean() < 3


def test_a_tiff_whose_resolution_is_given_twice_is_taken(sheet: np.ndarray) -> None:
    whole = bytearray(_encoded(sheet, "TIFF", dpi=(72, 72)))
    at = whole.index(struct.pack("<HHI", 282, 5, 1))
    whole[at + 4] = 2
    assert np.array_equal(decode_rgb(bytes(whole))[..., 0], sheet)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "PPM", "GIF"])
def test_a_program_that_lets_cut_pictures_pass_does_not_make_them_pass_here(
    sheet: np.ndarray, kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    path = tmp_path / "cut"
    path.write_bytes(_encoded(sheet, kind)[:-40])
    for given in (path, Image.open(path)):
        with pytest.raises(images.SketchError):
            images.read(given)
    assert ImageFile.LOAD_TRUNCATED_IMAGES


def test_every_flipped_bit_of_a_png_is_noticed() -> None:
    whole = _encoded(np.arange(256, dtype=np.uint8).reshape(16, 16), "PNG")
    for place in range(len(whole)):
        broken = bytearray(whole)
        broken[place] ^= 1 << place % 8
        with pytest.raises(Unreadable):
            decode_rgb(bytes(broken))


def test_a_picture_that_is_only_opened_is_read_as_strictly_as_its_file_and_left_as_it_was(sheet: np.ndarray) -> None:
    whole = _encoded(sheet, "JPEG", quality=95)
    start = whole.rindex(b"\xff\xda")
    with pytest.raises(images.SketchError, match="cut short"):
        images.read(Image.open(io.BytesIO(whole[: (start + len(whole)) // 2] + b"\xff\xd9")))
    opened = Image.open(io.BytesIO(whole))
    assert np.array_equal(images.read(opened).luma * 255, np.asarray(opened))


def test_a_pipe_and_an_endless_device_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    for name in ("pipe.png", "zero.png"):
        with pytest.raises(images.SketchError, match="no ordinary file"):
            images.read(tmp_path / name)


def test_a_list_that_holds_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(images.SketchError, match="lists in lists"):
        images.flatten(endless)


def test_results_beside_their_inputs_are_no_inputs_of_the_next_run(sheet: np.ndarray, tmp_path: Path) -> None:
    torch.manual_seed(0)
    tiny = CaliSketch(EncoderDecoder(1, 1, 4, 1), EncoderDecoder(1, 3, 4, 1, head="tanh"), 32)
    model = str(tiny.save_pretrained(tmp_path / "model"))
    folder = tmp_path / "sketches"
    folder.mkdir()
    Image.fromarray(sheet).save(folder / "a.png")
    before = (folder / "a.png").read_bytes()
    for _ in range(2):
        assert main(["calibrate", str(folder), "--out", str(folder), "--model", model]) == 0
        assert sorted(path.name for path in folder.iterdir()) == ["a-calibrated.png", "a.png"]
    assert (folder / "a.png").read_bytes() == before
    # From a folder of their own they are inputs like any other.
    assert main(["calibrate", str(folder), "--out", str(tmp_path / "next"), "--model", model]) == 0
    assert len(list((tmp_path / "next").iterdir())) == 2


@pytest.mark.parametrize("name", ["../up", "Scn", "a b", "", "x" * 100])
def test_a_stage_whose_checkpoints_could_not_be_found_again_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="stage's name"):
        check_stages(None, ["scn", name])
