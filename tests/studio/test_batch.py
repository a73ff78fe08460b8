"""Many sketches at once: each answered or told of, in order, under names of its own, and nothing half done."""

from __future__ import annotations

import io
import os
import struct
import warnings
import weakref
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from calisketch.boundary.decoding import Unreadable
from calisketch.boundary.images import SketchError
from calisketch.studio import batch, uploads
from calisketch.studio.batch import BatchError, contact_sheet, free_name, run_batch
from calisketch.studio.uploads import UploadError


def shade(level: int, mode: str = "L", side: int = 24) -> Image.Image:
    return Image.new("L", (side, side), level).convert(mode)


def png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def saved(path: Path, image: Image.Image) -> Path:
    image.save(path)
    return path


def zipped(path: Path, members: list[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of names that are there twice
        for name, data in members:
            archive.writestr(name, data)
    return path


def answer(sketch: Image.Image, name: str) -> tuple[Image.Image, Image.Image]:
    """The sketch's level in both, so that a result tells which sketch it is of."""
    level = sketch.convert("L").getpixel((0, 0))
    return Image.new("L", (16, 16), level), Image.new("RGB", (16, 16), (level, 0, 200))


def results(path: Path) -> dict[str, int]:
    """Members of results.zip, in their order: the level of each picture."""
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        pictures = [name for name in archive.namelist() if name.endswith(".png")]
        return {name: np.asarray(Image.open(io.BytesIO(archive.read(name)))).flat[0].item() for name in pictures}


@pytest.fixture
def mixed(tmp_path: Path) -> list[Path]:
    """Files, a ZIP between them, and what cannot be read; the level says where in the order it comes."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "text.png").write_bytes(b"no picture")
    members = [("z/b.png", png(shade(60))), ("a.png", png(shade(50))), ("notes.txt", b"x"), ("__MACOSX/._a.png", b"x")]
    return [
        saved(tmp_path / "a.png", shade(10)),
        saved(tmp_path / "sub" / "a.png", shade(20)),
        tmp_path / "text.png",
        zipped(tmp_path / "box.zip", [*members, ("bad.png", png(shade(1))[:-20])]),
        saved(tmp_path / "A.bmp", shade(70)),
    ]


def test_every_sketch_is_answered_in_order_under_a_name_of_its_own(mixed: list[Path], tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    names: list[str] = []

    def told(sketch: Image.Image, name: str) -> tuple[Image.Image, Image.Image]:
        names.append(name)
        return answer(sketch, name)

    result = run_batch(mixed, told, tmp_path / "out" / "here", lambda done, total: seen.append((done, total)))
    assert names == ["a", "a-2", "a-3", "b", "A-4"]  # a and A are one file on some systems
    levels = dict(zip(names, [10, 20, 50, 60, 70], strict=True))
    expected = {f"{kind}/{name}.png": level for name, level in levels.items() for kind in ("faces", "refined")}
    assert results(result.archive) == expected
    assert list(results(result.archive)) == list(expected)
    assert seen == [(number, 7) for number in range(1, 8)]
    assert result.done == 5
    assert [name for name, _ in result.problems] == ["text.png", "box.zip: bad.png"]
    with zipfile.ZipFile(result.archive) as archive:
        lines = archive.read("problems.txt").decode().splitlines()
    assert [line.count(name) for line, (name, _) in zip(lines, result.problems, strict=True)] == [1, 1]
    assert str(tmp_path) not in "".join(lines)
    assert sorted(path.name for path in (tmp_path / "out" / "here").iterdir()) == ["contact-sheet.png", "results.zip"]


def test_the_same_batch_gives_the_same_bytes(mixed: list[Path], tmp_path: Path) -> None:
    one, other = (run_batch(mixed, answer, tmp_path / name) for name in ("one", "other"))
    assert one.archive.read_bytes() == other.archive.read_bytes()
    assert one.sheet.read_bytes() == other.sheet.read_bytes()
    assert results(one.archive) == results(other.archive)
    again = run_batch(mixed[:1], answer, tmp_path / "one")  # over the former results
    assert list(results(again.archive)) == ["faces/a.png", "refined/a.png"]


@pytest.mark.parametrize("error", [SketchError, UploadError, lambda said: Unreadable(said, "Draw more.")])
def test_a_sketch_that_cannot_be_answered_is_told_and_the_rest_goes_on(error: object, tmp_path: Path) -> None:
    def picky(sketch: Image.Image, name: str) -> tuple[Image.Image, Image.Image]:
        if name == "b":
            raise error("no ink at all")  # type: ignore[operator]
        return answer(sketch, name)

    files = [saved(tmp_path / f"{name}.png", shade(9)) for name in "abc"]
    result = run_batch(files, picky, tmp_path / "out")
    assert [name for name, _ in result.problems] == ["b.png"]
    assert "no ink at all" in result.problems[0][1]
    assert result.done == 2


def test_other_errors_end_the_batch_and_leave_the_folder_as_it_was(tmp_path: Path) -> None:
    files = [saved(tmp_path / f"{name}.png", shade(9)) for name in "ab"]
    before = run_batch(files, answer, tmp_path / "out").archive.read_bytes()

    def broken(sketch: Image.Image, name: str) -> tuple[Image.Image, Image.Image]:
        if name == "b":
            raise RuntimeError("out of luck")
        return answer(sketch, name)

    with pytest.raises(RuntimeError, match="out of luck"):
        run_batch(files, broken, tmp_path / "out")
    assert sorted(os.listdir(tmp_path / "out")) == ["contact-sheet.png", "results.zip"]
    assert (tmp_path / "out" / "results.zip").read_bytes() == before


def test_names_in_a_zip_lead_nowhere(tmp_path: Path) -> None:
    names = [
        "../up.png",
        "/abs.png",
        "C:\\x\\drive.png",
        "..\\back.png",
        "deep/er/fine.png",
        "deep\\win.png",
        "a:b.png",
    ]
    box = zipped(tmp_path / "box.zip", [(name, png(shade(9))) for name in names])
    result = run_batch([box], answer, tmp_path / "out")
    with zipfile.ZipFile(result.archive) as archive:
        stems = {name for name in archive.namelist() if name.startswith("faces/")}
    assert stems == {"faces/fine.png", "faces/win.png", "faces/a_b.png"}
    assert len(result.problems) == 4
    assert all("points outside its archive" in message for _, message in result.problems)
    assert sorted(os.listdir(tmp_path)) == ["box.zip", "out"]


def test_names_are_files_on_any_system() -> None:
    taken: set[str] = set()
    given = ["a", "A", "a-2", "..", " . ", "", 'x/y\\z:*?"<>|', "tab\there", "w" * 300, "é日"]
    found = [free_name(stem, taken) for stem in given]
    assert found[:6] == ["a", "A-2", "a-2-2", "sketch", "sketch-2", "sketch-3"]
    assert found[6:8] == ["x_y_z_______", "tab_here"]
    assert (len(found[8]), found[9]) == (80, "é日")
    assert len({name.casefold() for name in found}) == len(given)


def test_bombs_in_zips_are_told_and_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = saved(tmp_path / "good.png", shade(9))
    start = png(shade(9))
    big = start + bytes(uploads.MOST_BYTES)
    large = zipped(tmp_path / "large.zip", [("big.png", big), ("small.png", start)])
    assert large.stat().st_size < 100_000
    result = run_batch([good, large], answer, tmp_path / "out")
    assert result.done == 2
    ((name, message),) = result.problems
    assert name == "large.zip: big.png"
    assert "claims 20.1 MiB unpacked; expected at most 20" in message

    lying = bytearray(large.read_bytes())
    at = lying.index(b"PK\1\2")
    struct.pack_into("<I", lying, at + 24, 500)
    (tmp_path / "lying.zip").write_bytes(lying)
    ((name, message),) = run_batch([tmp_path / "lying.zip"], answer, tmp_path / "out").problems
    assert name == "lying.zip: big.png"
    assert "CRC" in message

    monkeypatch.setattr(uploads, "MOST_UNPACKED", 30 * 2**20)  # either ZIP is below, both are not
    third = zipped(tmp_path / "third.zip", [("c.png", start)])
    second = zipped(tmp_path / "second.zip", [("big.png", big)])
    result = run_batch([large, third, second, good], answer, tmp_path / "out")
    assert [name for name, _ in result.problems] == ["large.zip: big.png", "second.zip"]
    assert "and the ZIPs before it unpack to 40.1 MiB; expected at most 30" in result.problems[1][1]
    assert result.done == 3


def test_what_is_wrong_with_a_zip_is_told(tmp_path: Path) -> None:
    good = saved(tmp_path / "good.png", shade(9))
    whole = zipped(tmp_path / "whole.zip", [("a.png", png(shade(9)))])
    (tmp_path / "cut.zip").write_bytes(whole.read_bytes()[:-30])
    secret = bytearray(whole.read_bytes())
    secret[secret.index(b"PK\1\2") + 8] |= 1
    (tmp_path / "secret.zip").write_bytes(secret)
    files = [
        good,
        tmp_path / "cut.zip",
        tmp_path / "secret.zip",
        zipped(tmp_path / "bare.zip", [("notes.txt", b"x")]),
        zipped(tmp_path / "twice.zip", [("a.png", png(shade(1))), ("a.png", png(shade(2)))]),
        zipped(tmp_path / "rare.zip", [("a.png", png(shade(1)))], zipfile.ZIP_LZMA),
        zipped(tmp_path / "many.zip", [(f"{number}.txt", b"") for number in range(uploads.MOST_MEMBERS + 1)]),
        tmp_path / "missing.zip",
        tmp_path,
    ]
    result = run_batch(files, answer, tmp_path / "out")
    assert result.done == 1
    said = ["no whole ZIP", "encrypted", "holds no images", "2 times", "rare way", "2001 members", "cannot be opened"]
    for (_, message), expected in zip(result.problems, [*said, "is a folder"], strict=True):
        assert expected in message


def test_without_any_result_there_is_an_error_and_no_file(tmp_path: Path) -> None:
    bad = []
    for number in range(8):
        bad.append(tmp_path / f"bad{number}.png")
        bad[-1].write_bytes(b"no picture")
    with pytest.raises(BatchError, match=r"none of 8 .*bad0\.png is not an image.*bad4.*And 3 more\.$") as caught:
        run_batch(bad, answer, tmp_path / "out")
    assert "bad5" not in str(caught.value)
    with pytest.raises(BatchError, match="there is no sketch in what was handed over"):
        run_batch([], answer, tmp_path / "out")
    assert os.listdir(tmp_path / "out") == []


def test_more_sketches_than_a_batch_takes_are_refused_before_any_is_answered(tmp_path: Path) -> None:
    data = png(shade(9))
    full = zipped(tmp_path / "full.zip", [(f"{number}.png", data) for number in range(uploads.MOST_FILES)])
    one = saved(tmp_path / "one.png", shade(9))
    with pytest.raises(BatchError, match="has 201 sketches, those in ZIPs included; expected at most 200"):
        run_batch([one, full], lambda *_: pytest.fail("was answered"), tmp_path / "out")
    with pytest.raises(BatchError, match="has 201 files; expected at most 200"):
        run_batch([one] * 201, lambda *_: pytest.fail("was answered"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_results_stop_growing_at_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "LARGEST_RESULTS", 30_000)

    def noisy(sketch: Image.Image, name: str) -> tuple[Image.Image, Image.Image]:
        noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        return shade(0), Image.fromarray(noise)  # 12 KB each

    files = [saved(tmp_path / f"{name}.png", shade(9)) for name in "abcdef"]
    result = run_batch(files, noisy, tmp_path / "out")
    assert 2 <= result.done <= 4
    assert [name for name, _ in result.problems] == [f"{name}.png" for name in "abcdef"[result.done :]]
    assert "results before it" in result.problems[0][1]


def test_one_sketch_is_held_at_a_time(tmp_path: Path) -> None:
    alive: list[weakref.ref[Image.Image]] = []

    def watching(sketch: Image.Image, name: str) -> tuple[Image.Image, Image.Image]:
        assert not [old for old in alive if old() is not None]
        alive.append(weakref.ref(sketch))
        return answer(sketch, name)

    run_batch([saved(tmp_path / f"{name}.png", shade(9)) for name in "abcd"], watching, tmp_path / "out")
    assert len(alive) == 4


def test_the_sheet_shows_sketch_calibrated_and_face_side_by_side(tmp_path: Path) -> None:
    result = run_batch([saved(tmp_path / "a.png", shade(80, side=300))], answer, tmp_path / "out")
    sheet = np.asarray(Image.open(result.sheet))
    middle = sheet[-60]
    found = [tuple(middle[batch._MARGIN + place * (batch.CELL + batch._GAP) + 64]) for place in range(3)]
    assert found == [(80, 80, 80), (80, 80, 80), (80, 0, 200)]


@pytest.mark.parametrize(("count", "blocks", "deep"), [(1, 1, 1), (50, 1, 50), (51, 2, 26), (200, 4, 50)])
def test_the_sheet_grows_by_blocks(count: int, blocks: int, deep: int) -> None:
    row = Image.new("RGB", (3 * batch.CELL, batch.CELL), "red")
    sheet = contact_sheet([(f"a rather long name {'日' * 40} {number}", row) for number in range(count)])
    assert sheet.width * sheet.height < 14_000_000
    red = (np.asarray(sheet) == (255, 0, 0)).all(2)
    assert red.sum() == count * 3 * batch.CELL**2  # no row covers another, no name lies on a picture
    assert red.any(0).sum() == blocks * 3 * batch.CELL
    assert red.any(1).sum() == deep * batch.CELL


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_sketches_of_every_mode_have_a_thumbnail(mode: str, tmp_path: Path) -> None:
    image = shade(255).convert(mode) if mode != "I;16" else Image.fromarray(np.full((24, 24), 65535, np.uint16))
    assert batch._thumbnail(image).getpixel((64, 64)) == (255, 255, 255)
    assert batch._thumbnail(image).size == (128, 128)
    assert batch._thumbnail(Image.new("RGBA", (4000, 8))).getpixel((64, 0)) == (255, 255, 255)  # nothing on it
