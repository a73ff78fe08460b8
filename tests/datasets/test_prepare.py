"""prepare_photos: any folder of photos of any kind, aligned by the eyes where the detector is there."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from calisketch.boundary import alignment
from calisketch.datasets import PreparedPhotos, prepare_photos
from calisketch.datasets.drawn.drawn_face import draw_face
from calisketch.datasets.preparing.aligned import align_photo, centre_square, resize
from calisketch.datasets.preparing.sources import Unreadable, decode_grey, decode_rgb


def _bytes(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def _prepare(source: Path, out: Path, **options: object):
    return prepare_photos(source, out, **{"size": 48, "contour": "none", "workers": 0, "align": False, **options})  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "1", "I", "I;16", "F"])
def test_every_mode_becomes_the_same_rgb(mode: str) -> None:
    ramp = np.tile(np.arange(0, 256, 8, dtype=np.uint8), (16, 1))
    if mode == "1":
        ramp = np.where(ramp > 127, 255, 0).astype(np.uint8)
    if mode in ("I", "I;16"):
        data = _bytes(Image.fromarray(ramp.astype(np.uint16) * 257))
    elif mode == "F":
        data = _bytes(Image.fromarray(ramp.astype(np.float32) / 255), "TIFF")
    else:
        data = _bytes(Image.fromarray(ramp).convert(mode), "TIFF" if mode == "CMYK" else "PNG")
    rgb = decode_rgb(data)
    assert rgb.shape == (16, 32, 3)
    assert rgb.dtype == np.uint8
    assert np.abs(rgb.astype(int) - ramp[..., None]).max() <= 1


def test_transparency_lies_on_white() -> None:
    layer = np.zeros((16, 16, 4), np.uint8)
    layer[:, 8:, 3] = 255
    rgb = decode_rgb(_bytes(Image.fromarray(layer)))
    assert (rgb[:, :8] == 255).all()
    assert (rgb[:, 8:] == 0).all()


def test_exif_rotation_is_applied() -> None:
    upright = np.zeros((30, 20, 3), np.uint8)
    upright[:10] = 255
    lying = Image.fromarray(np.rot90(upright))  # as a camera held on its side saves it
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise for display
    assert np.array_equal(decode_rgb(_bytes(lying, exif=exif)), upright)


@pytest.mark.parametrize("data", [b"", b"not an image", _bytes(Image.new("RGB", (64, 64), "red"), "JPEG")[:300]])
def test_damaged_files_are_unreadable_with_a_remedy(data: bytes) -> None:
    with pytest.raises(Unreadable) as caught:
        decode_grey(data)
    assert caught.value.reason
    assert caught.value.remedy.endswith(".")


def test_names_splits_and_problems_of_a_folder(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for folder, count in (("train", 6), ("val", 2), ("test/more", 1)):
        (source / folder).mkdir(parents=True)
        for index in range(count):
            photo, _ = draw_face(40, 1, index)
            Image.fromarray(photo).save(source / folder / f"{index}.jpg")
    (source / "train" / "0.png").write_bytes((source / "train" / "0.jpg").read_bytes())  # the same name again
    (source / "train" / "bad.jpg").write_bytes(b"bad")
    (source / "notes.txt").write_text("not an image")
    report = _prepare(source, tmp_path / "out")
    assert report.splits == {"train": 6, "validation": 2, "test": 1}
    assert [Path(problem.file).name for problem in report.problems] == ["0.png", "bad.jpg"]
    assert PreparedPhotos(tmp_path / "out", "test").names == ["test--more--0"]


def test_what_is_prepared_into_the_source_is_no_source(tmp_path: Path) -> None:
    for index in range(3):
        Image.fromarray(draw_face(40, 3, index)[0]).save(tmp_path / f"{index}.jfif", "JPEG")
    for out in (tmp_path / "out", tmp_path / "link"):
        if out.name == "link":
            out.symlink_to(tmp_path / ".elsewhere")
            (tmp_path / ".elsewhere").mkdir()
        assert _prepare(tmp_path, out).made == 3
        assert str(again := _prepare(tmp_path, out)).count("problem") == 0
        assert (again.made, again.kept) == (0, 3)
        shutil.rmtree(out.resolve())
    with pytest.raises(ValueError, match="is the source and the folder to prepare into"):
        _prepare(tmp_path, tmp_path)


def test_photos_that_are_not_reached_or_not_read_are_told(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "more").mkdir()
    for folder in ("source", "more"):
        Image.fromarray(draw_face(40, 3, 0)[0]).save(tmp_path / folder / "a.png")
    (tmp_path / "source" / "linked").symlink_to(tmp_path / "more")
    (tmp_path / "source" / "loop").symlink_to(tmp_path / "source")
    (tmp_path / "source" / "IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    report = _prepare(tmp_path / "source", tmp_path / "out")
    assert report.made == 1
    assert {Path(problem.file).name: problem.reason for problem in report.problems} == {
        "linked": "is a link to a folder, which is not followed",
        "loop": "is a link to a folder, which is not followed",
        "IMG_1.HEIC": "is in a format that is not read here",
    }


def test_the_validation_share_is_stable_when_photos_are_added(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for index in range(30):
        Image.new("RGB", (16, 16), (index, 0, 0)).save(source / f"{index}.png")
    _prepare(source, tmp_path / "out", validation_share=0.25)
    before = set(PreparedPhotos(tmp_path / "out", "validation").names)
    assert 2 <= len(before) <= 14
    for index in range(30, 40):
        Image.new("RGB", (16, 16), (index, 0, 0)).save(source / f"{index}.png")
    report = _prepare(source, tmp_path / "out", validation_share=0.25)
    assert (report.made, report.kept) == (10, 30)
    assert before <= set(PreparedPhotos(tmp_path / "out", "validation").names)


def test_two_photos_are_enough_for_a_validation(tmp_path: Path) -> None:
    for index in range(2):
        Image.new("RGB", (16, 16)).save(tmp_path / f"{index}.png")
    assert _prepare(tmp_path, tmp_path / "out", validation_share=0.001).splits == {"train": 1, "validation": 1}


def test_a_missing_source_or_an_empty_one_is_explained(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such file or folder"):
        _prepare(tmp_path / "nothing", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no images in"):
        _prepare(tmp_path / "empty", tmp_path / "out")
    (tmp_path / "notes.txt").write_text("text")
    with pytest.raises(ValueError, match="no zip archive and no folder"):
        _prepare(tmp_path / "notes.txt", tmp_path / "out")


def test_without_the_detector_the_report_warns_and_the_middle_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alignment, "detector_available", lambda: False)
    photo = np.zeros((48, 96, 3), np.uint8)
    photo[:, 24:72] = 200
    source = tmp_path / "source"
    source.mkdir()
    for index in range(2):
        Image.fromarray(photo).save(source / f"{index}.png")
    report = _prepare(source, tmp_path / "out", align=True)
    assert report.ok
    assert "NOT aligned" in str(report)
    assert PreparedPhotos(tmp_path / "out").settings["align"] == "centre"
    assert (PreparedPhotos(tmp_path / "out")[0]["photo"] * 255).min() == 200


def test_alignment_brings_the_eyes_to_their_places() -> None:
    """Two dots anywhere, at any angle and size, end at (96, 131) and (160, 131)."""
    photo = np.full((400, 300, 3), 90, np.uint8)
    left, right = (110.0, 220.0), (190.0, 180.0)
    for point, colour in ((left, (255, 0, 0)), (right, (0, 255, 0))):
        cv2.circle(photo, (int(point[0]), int(point[1])), 6, colour, -1)
    aligned = align_photo(photo, 256, detector=lambda rgb: (left, right))
    assert aligned is not None
    for channel, (x, y) in enumerate([(96, 131), (160, 131)]):
        rows, columns = np.nonzero(aligned[0][..., channel] > 200)
        assert (columns.mean(), rows.mean()) == (pytest.approx(x, abs=0.7), pytest.approx(y, abs=0.7))
    assert align_photo(photo, 256, detector=lambda rgb: None) is None


def test_a_photo_without_a_face_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alignment, "detector_available", lambda: True)
    monkeypatch.setattr("calisketch.datasets.preparing.item_images.align_photo", lambda image, size: None)
    source = tmp_path / "source"
    source.mkdir()
    Image.new("RGB", (64, 64)).save(source / "wall.png")
    report = _prepare(source, tmp_path / "out", align=True)
    assert "no face" in report.problems[0].reason
    assert "align=false" in report.problems[0].remedy


def test_the_detector_aligns_real_full_frames(shared_weights: Path, cuhk_root: Path, tmp_path: Path) -> None:
    """CUHK's uncropped photos, aligned by YuNet, against the official crops of the same people."""
    folder = cuhk_root / "full_frame" / "photos"
    if not folder.is_dir():
        pytest.skip("needs full_frame")
    aligned_differences, centred_differences = [], []
    for path in sorted(folder.glob("*.jpg"))[:6]:
        frame = decode_rgb(path.read_bytes())
        aligned = align_photo(frame, 64)
        assert aligned is not None
        crop = resize(decode_rgb((cuhk_root / "photos" / path.name).read_bytes())[25:225], 64).astype(int)
        aligned_differences.append(np.abs(aligned[0] - crop).mean())
        centred_differences.append(np.abs(resize(centre_square(frame), 64) - crop).mean())
    assert np.mean(aligned_differences) < 0.5 * np.mean(centred_differences)


def test_squares() -> None:
    image = np.arange(5 * 9).reshape(5, 9).astype(np.uint8)
    assert np.array_equal(centre_square(image), image[:, 2:7])
    assert np.array_equal(centre_square(image.T), image.T[2:7])
    assert resize(image[:, :5], 5) is not None
    assert resize(np.full((7, 7, 3), 9, np.uint8), 20).shape == (20, 20, 3)
