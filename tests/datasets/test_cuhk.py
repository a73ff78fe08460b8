"""prepare_cuhk: the release as it comes, paired, cut and split; what cannot be taken is listed and the rest goes on."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from calisketch import weights
from calisketch.datasets import PreparedPhotos, SettingsDiffer, prepare_cuhk
from calisketch.datasets.preparing.cuhk import VALIDATION_EVERY, read_split, subject
from calisketch.weights import sha256_of

Pairs = dict[str, tuple[bytes, bytes]]


def _prepare(source: object, out: Path, splits: dict[str, str], **options: object):
    return prepare_cuhk(source, out, splits, **{"size": 64, "contour": "none", "workers": 0, **options})  # type: ignore[arg-type]


def _files(out: Path) -> dict[str, int]:
    return {str(path.relative_to(out)): path.stat().st_mtime_ns for path in sorted(out.rglob("*.png"))}


def test_the_release_is_read_from_archives_and_folders_alike(
    release: Path, tmp_path: Path, splits: dict[str, str], pairs: Pairs
) -> None:
    report = _prepare(release, tmp_path / "out", splits)
    assert report.ok, str(report)
    assert report.made == 4
    assert report.splits == {"train": 2, "validation": 1, "test": 1}
    parts = {part: PreparedPhotos(tmp_path / "out", part).names for part in ("train", "validation", "test")}
    assert parts == {"train": ["f-005-01", "m-008-01"], "validation": ["f1-005-01"], "test": ["m1-030-01"]}

    plain = tmp_path / "plain"
    for kind, data in (("photos", 0), ("sketches", 1), ("full_frame/photos", 0)):
        (plain / kind).mkdir(parents=True)
        for name, files in pairs.items():
            (plain / kind / f"{name}.jpg").write_bytes(files[data])
    (plain / "train88.txt").write_text("f-005-01\n")
    assert _prepare(plain, tmp_path / "same", splits).ok, "what lies beside photos/ and sketches/ is not read"
    for path in _files(tmp_path / "out"):
        assert (tmp_path / "out" / path).read_bytes() == (tmp_path / "same" / path).read_bytes()


def test_the_square_is_the_settled_one_and_drawings_are_ink_white(tmp_path: Path, splits: dict[str, str]) -> None:
    """Rows 25..225 of 200x250 and 50..450 of 400x500: paint each border row and see which survive."""
    root = tmp_path / "source"
    (root / "photos").mkdir(parents=True)
    (root / "sketches").mkdir()
    for name, scale in (("f-005-01", 1), ("m-008-01", 2)):
        frame = np.full((250 * scale, 200 * scale, 3), 128, np.uint8)
        frame[: 25 * scale] = frame[225 * scale :] = (255, 0, 0)
        Image.fromarray(frame).save(root / "photos" / f"{name}.png")
        Image.fromarray(np.full((250 * scale, 200 * scale), 255, np.uint8)).save(root / "sketches" / f"{name}.png")
    _prepare(root, tmp_path / "out", splits)
    items = PreparedPhotos(tmp_path / "out", "train", track="artist")
    for item in items:
        torch.testing.assert_close(item["photo"], torch.full((3, 64, 64), 128 / 255))
        assert item["artist"].max() == 0  # blank paper has no ink


@pytest.mark.parametrize(
    ("stem", "expected"),
    [
        ("f-005-01", "f-005-01"),
        ("f-005-01-sz1", "f-005-01"),
        ("F2-005-01-sz1", "f-005-01"),
        ("M2-008-01-sz1", "m-008-01"),
        ("f1-005-01-sz1", "f1-005-01"),
        ("f2-030-01", None),
        ("portrait", None),
    ],
)
def test_names_of_drawings_lead_to_their_subject(stem: str, expected: str | None, splits: dict[str, str]) -> None:
    assert subject(stem, splits) == expected


def test_what_cannot_be_taken_is_listed_with_a_remedy_and_the_rest_goes_on(
    release: Path, tmp_path: Path, splits: dict[str, str], pairs: Pairs
) -> None:
    photos = release / "CUHK_testing_cropped_photo"
    (photos / "m1-030-01.jpg").write_bytes(pairs["m1-030-01"][0][:200])  # cut short
    (photos / "holiday.jpg").write_bytes(pairs["m1-030-01"][0])
    (release / "broken.zip").write_bytes(b"PK\x03\x04 nothing")
    splits["f-039-01"], splits["m1-031-01"] = "test", "test"
    (photos / "f-039-01.jpg").write_bytes(pairs["f-005-01"][0])  # no drawing
    (release / "CUHK_testing_cropped_sketch" / "m1-031-01-sz1.jpg").write_bytes(pairs["f-005-01"][1])  # no photo
    big = Image.new("RGB", (1024, 768))
    splits["m1-032-01"] = "test"
    big.save(photos / "m1-032-01.jpg")
    report = _prepare(release, tmp_path / "out", splits)
    assert not report.ok
    assert report.made == 4  # three of training, and f-039-01 without its drawing
    reasons = {Path(problem.file).name: problem.reason for problem in report.problems}
    assert "cut short" in reasons["m1-030-01.jpg"]
    assert "no subject" in reasons["holiday.jpg"]
    assert "no readable zip" in reasons["broken.zip"]
    assert "without one" in reasons["f-039-01.jpg"]
    assert reasons["m1-031-01-sz1.jpg"] == "has no photo"
    text = str(report)
    assert f"{len(report.problems)} problems:" in text  # not "not taken": a photo without its drawing was taken
    assert "1024x768, expected 200x250 or 400x500" in text
    assert all(problem.remedy in text and problem.remedy.endswith((".", ").")) for problem in report.problems)
    assert "f-039-01" in PreparedPhotos(tmp_path / "out", "test").names
    with pytest.raises(ValueError, match="no photos in split 'test' with an artist drawing"):
        PreparedPhotos(tmp_path / "out", "test", track="artist")


def test_an_archive_cannot_write_or_read_outside(
    tmp_path: Path, splits: dict[str, str], pairs: Pairs, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "photos.zip"
    with zipfile.ZipFile(source, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("f-005-01.jpg", pairs["f-005-01"][0])
        archive.writestr("../../m-008-01.jpg", pairs["m-008-01"][0])
        archive.writestr("/etc/m1-030-01.jpg", pairs["m1-030-01"][0])
        archive.writestr("f1-005-01.jpg", b"\xff\xd8\xff" + bytes(2_000_000))
    monkeypatch.setattr("calisketch.datasets.preparing.sources.LARGEST_FILE", 1_000_000)
    report = _prepare(source, tmp_path / "deep" / "out", splits)
    reasons = [problem.reason for problem in report.problems]
    assert sum("outside its archive" in reason for reason in reasons) == 2
    assert sum("larger than" in reason for reason in reasons) == 1
    assert report.made == 1
    assert sorted(path.name for path in tmp_path.rglob("*.jpg")) == []
    assert not list(tmp_path.glob("m-008*"))


def test_a_second_run_makes_only_what_is_missing_or_changed(
    release: Path, tmp_path: Path, splits: dict[str, str], pairs: Pairs
) -> None:
    out = tmp_path / "out"
    _prepare(release, out, splits)
    first, manifest = _files(out), (out / "manifest.json").read_text()
    again = _prepare(release, out, splits)
    assert (again.made, again.kept) == (0, 4)
    assert _files(out) == first
    assert (out / "manifest.json").read_text() == manifest

    (out / "detail" / "f-005-01.png").unlink()
    (out / "photo" / "m-008-01.png").write_bytes(b"damaged")
    (release / "CUHK_testing_cropped_photo" / "m1-030-01.jpg").write_bytes(pairs["f-005-01"][0])  # another photo
    repaired = _prepare(release, out, splits)
    assert (repaired.made, repaired.kept) == (3, 1)
    recorded = json.loads((out / "manifest.json").read_text())["entries"]
    for name, entry in recorded.items():
        for kind, file in entry["files"].items():
            assert file["path"] == f"{kind}/{name}.png"
            assert sha256_of(out / file["path"]) == file["sha256"]
    assert not [path for path in out.rglob(".*") if path.is_file()], "files written aside were left"


def test_a_changed_setting_stops_the_run_and_names_itself(
    release: Path, tmp_path: Path, splits: dict[str, str]
) -> None:
    out = tmp_path / "out"
    _prepare(release, out, splits)
    before = _files(out)
    with pytest.raises(SettingsDiffer, match=r"size: prepared with 64, now 48.*overwrite=true.*out="):
        _prepare(release, out, splits, size=48)
    with pytest.raises(SettingsDiffer, match=r"canny_sigma: prepared with 2\.0, now 1\.5"):
        _prepare(release, out, splits, canny_sigma=1.5)
    assert _files(out) == before
    assert _prepare(release, out, splits, size=48, overwrite=True).made == 4
    assert PreparedPhotos(out).size == 48


def test_an_interrupted_run_continues(release: Path, tmp_path: Path, splits: dict[str, str]) -> None:
    def stop_after_two(results, total):
        assert total == 4
        for count, result in enumerate(results):
            if count == 2:
                raise KeyboardInterrupt
            yield result

    with pytest.raises(KeyboardInterrupt):
        _prepare(release, tmp_path / "out", splits, progress=stop_after_two)
    report = _prepare(release, tmp_path / "out", splits)
    assert (report.made, report.kept) == (2, 2)
    _prepare(release, tmp_path / "whole", splits)
    for path in _files(tmp_path / "whole"):
        assert (tmp_path / "out" / path).read_bytes() == (tmp_path / "whole" / path).read_bytes()


def test_processes_give_the_same_files_as_one(release: Path, tmp_path: Path, splits: dict[str, str]) -> None:
    _prepare(release, tmp_path / "one", splits)
    (release / "CUHK_testing_cropped_photo" / "m1-030-01.jpg").write_bytes(b"damaged")
    report = _prepare(release, tmp_path / "two", splits, workers=2)
    assert report.made == 3
    assert [problem.reason for problem in report.problems] == ["is not an image that can be read here"]
    for path in _files(tmp_path / "two"):
        assert (tmp_path / "one" / path).read_bytes() == (tmp_path / "two" / path).read_bytes()


def test_missing_hed_weights_stop_before_any_work_with_the_remedy(
    release: Path, tmp_path: Path, splits: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("CALISKETCH_WEIGHTS", "CALISKETCH_CACHE", "TORCH_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / "nothing"))
    with pytest.raises(weights.MissingWeights, match=r"ControlNetHED\.pth"):
        _prepare(release, tmp_path / "out", splits, contour="hed")
    assert not (tmp_path / "out").exists()
    with pytest.raises(ValueError, match='"hed" or "none"'):
        _prepare(release, tmp_path / "out", splits, contour="canny")


def test_with_real_weights_the_edge_maps_are_those_of_the_photo_at_256_pixels(
    release: Path, tmp_path: Path, splits: dict[str, str], shared_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a smaller photo HED's map is the one of 256 pixels reduced, and Canny's sigma is in proportion."""
    from calisketch.networks.hed import HED
    from calisketch.sketching.edges import canny, hed

    for size in (256, 64):
        prepare_cuhk(release, tmp_path / str(size), split=splits, size=size, workers=0)
    large, small = (PreparedPhotos(tmp_path / str(size), "test")[0] for size in (256, 64))
    contour = hed(large["photo"][None], HED.from_pretrained())
    assert (contour[0] - large["contour"]).abs().max() <= 0.5 / 255 + 1e-5
    assert torch.equal(canny(large["photo"][None].double(), sigma=2.0)[0], large["detail"].double())
    reduced = torch.nn.functional.avg_pool2d(contour, 4)[0]
    assert (reduced - small["contour"]).abs().max() <= 0.5 / 255 + 1e-5
    assert torch.equal(canny(small["photo"][None].double(), sigma=0.5)[0], small["detail"].double())
    monkeypatch.setenv("CALISKETCH_WEIGHTS", str(tmp_path / "nothing"))
    again = prepare_cuhk(release, tmp_path / "64", split=splits, size=64, workers=0)
    assert again.kept == 4, "a finished folder needs no weights"


def test_the_committed_split_is_the_settled_one(root: Path) -> None:
    splits = read_split(root / "data" / "cuhk_split.json")
    training = [name for name, part in splits.items() if part != "test"]
    assert len(training) == 88
    assert sum(part == "test" for part in splits.values()) == 100
    held_out = [name for name, part in splits.items() if part == "validation"]
    assert held_out == training[VALIDATION_EVERY - 1 :: VALIDATION_EVERY]
    assert len(held_out) == 12
    assert {name[0] for name in held_out} == {"f", "m"}


def test_the_committed_split_is_that_of_the_data(root: Path, cuhk_root: Path) -> None:
    splits = read_split(root / "data" / "cuhk_split.json")
    for file, parts in (("train88.txt", {"train", "validation"}), ("test100.txt", {"test"})):
        if not (cuhk_root / file).is_file():
            pytest.skip(f"needs {file}")
        assert (cuhk_root / file).read_text().split() == [name for name, part in splits.items() if part in parts]


def test_a_split_that_contradicts_itself_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "split.json"
    path.write_text(json.dumps({"train": ["a"], "validation": ["b"], "test": []}))
    with pytest.raises(ValueError, match="contradicts itself"):
        read_split(path)
    path.write_text("[]")
    with pytest.raises(ValueError, match="no split manifest"):
        read_split(path)


def test_subjects_that_are_not_in_the_source_are_counted(release: Path, tmp_path: Path, splits: dict[str, str]) -> None:
    report = _prepare(release / "CUHK_testing_cropped_photo", tmp_path / "out", splits)
    assert any("3 training and 0 test subjects" in warning for warning in report.warnings)
