"""Preparation in shards while something changes: the source, the settings, the cut of the work, the bookkeeping."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from preparing import TAR, dates, prepare, tree

from calisketch.datasets import PreparedPhotos, SettingsDiffer, prepare_cuhk
from calisketch.datasets.drawn.drawn_face import draw_face
from calisketch.datasets.shard_journal import PREPARING


def test_shards_with_another_number_of_tars_or_another_listing_are_no_part_of_the_whole(
    source: Path, tmp_path: Path
) -> None:
    """Each shard's share follows from both: together they would leave photos out."""
    out = tmp_path / "out"
    prepare(source, out, shard=0, shards=2, output="tar", tar_photos=4)
    for change in range(2):
        report = prepare(source, out, shard=1, shards=2, **TAR)
        assert not report.finished
        assert "shard 0 of 2 is not done" in str(report)
        assert prepare(source, out, shard=0, shards=2, **TAR).finished
        prepare(source, tmp_path / f"one{change}", **TAR)
        assert tree(out) == tree(tmp_path / f"one{change}")
        Image.fromarray(draw_face(40, 3, 60)[0]).save(source / "0-first.png")


def test_a_drawing_that_is_added_between_two_shards_is_in_the_whole(
    release: Path, tmp_path: Path, splits: dict[str, str]
) -> None:
    options: dict[str, Any] = {"size": 32, "contour": "none", "workers": 0, "shards": 2}
    whole = sorted(release.iterdir())
    photos = [path for path in whole if "photo" in path.name]
    prepare_cuhk(photos, tmp_path / "out", splits, shard=0, **options)
    assert not prepare_cuhk(whole, tmp_path / "out", splits, shard=1, **options).finished
    assert prepare_cuhk(whole, tmp_path / "out", splits, shard=0, **options).finished
    assert len(PreparedPhotos(tmp_path / "out", "train", track="artist")) == 2


@pytest.mark.parametrize("form", [{}, TAR], ids=["folder", "tar"])
def test_what_is_written_aside_lies_where_a_later_run_removes_it(
    source: Path, tmp_path: Path, form: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill at a flush to the disk would leave it: the manifest's too."""
    out, flush = tmp_path / "out", os.fsync
    seen: list[set[str]] = []

    def look(descriptor: int) -> None:
        seen.append({path.name for path in out.iterdir() if path.name.startswith(".")})
        flush(descriptor)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", look)
        prepare(source, out, **form)
    assert len(seen) >= 2
    assert all(names == {PREPARING} for names in seen)


def test_a_lock_that_is_made_anew_while_the_bookkeeping_is_removed_does_no_harm(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As another process does that waits for it."""
    remove = os.rmdir

    def disturbed(path: Any, **options: Any) -> None:
        if Path(path).name == PREPARING:
            (tmp_path / "out" / PREPARING / "merge.lock").touch()
        remove(path, **options)

    with monkeypatch.context() as patched:
        patched.setattr(os, "rmdir", disturbed)
        assert prepare(source, tmp_path / "out").finished
    assert prepare(source, tmp_path / "out").kept == 10
    assert not (tmp_path / "out" / PREPARING).exists()


@pytest.mark.parametrize("form", [{}, TAR], ids=["folder", "tar"])
def test_another_cut_of_the_work_takes_what_was_made(source: Path, tmp_path: Path, form: dict[str, Any]) -> None:
    prepare(source, tmp_path / "one", **form)
    made = prepare(source, tmp_path / "out", shard=1, shards=3, **form).made
    assert made > 0
    report = prepare(source, tmp_path / "out", **form)
    assert (report.made, report.kept) == (10 - made, made)
    assert tree(tmp_path / "one") == tree(tmp_path / "out")


@pytest.mark.parametrize("form", [{}, TAR], ids=["folder", "tar"])
def test_photos_added_changed_and_damaged_lead_to_what_a_new_preparation_gives(
    source: Path, tmp_path: Path, form: dict[str, Any]
) -> None:
    out = tmp_path / "out"
    prepare(source, out, **form)
    before = dates(out)
    assert (again := prepare(source, out, **form)).kept == 10
    assert again.made == 0
    assert {name: date for name, date in dates(out).items() if "manifest" not in name} == {
        name: date for name, date in before.items() if "manifest" not in name
    }
    Image.fromarray(draw_face(40, 3, 50)[0]).save(source / "03.png")  # mended
    Image.fromarray(draw_face(40, 3, 51)[0]).save(source / "05.png")  # another photo
    Image.fromarray(draw_face(40, 3, 52)[0]).save(source / "new.name.png")
    victim = sorted(out.glob("photo/07.png" if not form else "*.tar"))[0]
    data = bytearray(victim.read_bytes())
    data[700] ^= 1
    victim.write_bytes(data)
    for shard in (1, 0):
        report = prepare(source, out, shard=shard, shards=2, **form)
    assert report.ok
    prepare(source, tmp_path / "new", **form)
    assert tree(out) == tree(tmp_path / "new")
    PreparedPhotos(out, verify=True)


def test_overwriting_in_shards_drops_what_is_no_longer_there(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepare(source, out, size=48, **TAR)
    (source / "04.png").unlink()
    kept = prepare(source, out, size=48, **TAR)
    assert "1 photos of earlier runs" in str(kept)
    assert "04" in PreparedPhotos(out).names
    with pytest.raises(SettingsDiffer, match="size: prepared with 48, now 32"):
        prepare(source, out, shard=0, shards=2, **TAR)
    for shard in range(2):
        prepare(source, out, shard=shard, shards=2, overwrite=True, **TAR)
    prepare(source, tmp_path / "new", **TAR)
    assert tree(out) == tree(tmp_path / "new")


def test_a_folder_of_the_earlier_version_is_gone_on_with(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepare(source, out)
    manifest = json.loads((out / "manifest.json").read_text())
    del manifest["listing"]
    (out / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")  # as version 0.1.0 wrote it
    assert manifest["format_version"] == 1
    assert len(PreparedPhotos(out)) + len(PreparedPhotos(out, "validation")) == 10
    Image.new("RGB", (40, 40), "grey").save(source / "added.png")
    report = prepare(source, out)
    assert (report.made, report.kept) == (1, 10)
    prepare(source, tmp_path / "new")
    assert tree(out) == tree(tmp_path / "new")


@pytest.mark.parametrize("form", [{}, TAR], ids=["folder", "tar"])
def test_a_merge_that_is_cut_off_is_done_again(
    source: Path, tmp_path: Path, form: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tars are in their places by then, and the manifest that tells of them is not."""

    class Cut(BaseException):
        pass

    def cut(*arguments: object) -> None:
        raise Cut

    out = tmp_path / "out"
    with monkeypatch.context() as patched:
        patched.setattr("calisketch.datasets.preparing.merged_shards.write_manifest", cut)
        with pytest.raises(Cut):
            prepare(source, out, **form)
    with pytest.raises(FileNotFoundError, match="not finished: run the same command again"):
        PreparedPhotos(out)
    report = prepare(source, out, **form)
    assert (report.made, report.kept) == (0, 10)
    prepare(source, tmp_path / "one", **form)
    assert tree(out) == tree(tmp_path / "one")
