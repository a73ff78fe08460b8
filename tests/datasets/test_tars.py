"""Tar output: WebDataset reads it, training reads it where it lies, and its items are those of plain files."""

from __future__ import annotations

import copy
import json
import multiprocessing
import os
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from calisketch.datasets import PreparedPhotos, prepare_photos
from calisketch.datasets.drawn.drawn_face import draw_face

NAMES = ["a", "b.c", "b", "d%2Ee", "größe", "x" * 140, "f", "g"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same photos as plain files and as tars."""
    base = tmp_path_factory.mktemp("tars")
    (base / "source").mkdir()
    for index, name in enumerate(NAMES):
        Image.fromarray(draw_face(40, 5, index)[0]).save(base / "source" / f"{name}.png")
    options: dict[str, Any] = {"size": 32, "contour": "none", "align": False, "workers": 0, "validation_share": 0.0}
    prepare_photos(base / "source", base / "plain", **options)
    prepare_photos(base / "source", base / "tar", output="tar", tar_photos=3, **options)
    return base / "plain", base / "tar"


@pytest.fixture
def tars(folders: tuple[Path, Path], tmp_path: Path) -> Path:
    """A copy to be damaged."""
    for path in folders[1].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def same(left: dict[str, Any], right: dict[str, Any]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[key], right[key]) for key in left)


def test_the_items_are_bit_for_bit_those_of_plain_files(folders: tuple[Path, Path]) -> None:
    plain, tar = (PreparedPhotos(folder, cache=False, verify=True) for folder in folders)
    assert tar.names == plain.names == sorted(NAMES)
    assert all(same(plain[index], tar[index]) for index in range(len(NAMES)))
    assert {path.suffix for path in folders[1].iterdir()} == {".tar", ".json"}


def test_webdataset_reads_the_tars(folders: tuple[Path, Path]) -> None:
    wds = pytest.importorskip("webdataset")
    plain = PreparedPhotos(folders[0])
    paths = sorted(str(path) for path in folders[1].glob("*.tar"))
    found = {}
    for sample in wds.WebDataset(paths, shardshuffle=False, empty_check=False).decode("pil"):
        found[sample["json"]["name"]] = np.asarray(sample["photo.png"].convert("RGB"))
        assert sample["json"]["split"] == "train"
    assert sorted(found) == plain.names
    for index, name in enumerate(plain.names):
        expected = (plain[index]["photo"] * 255).round().byte().permute(1, 2, 0).numpy()
        assert np.array_equal((found[name] * 255).round() if found[name].dtype != np.uint8 else found[name], expected)


def test_the_tars_tell_nothing_of_when_and_by_whom_they_were_made(folders: tuple[Path, Path]) -> None:
    for path in folders[1].glob("*.tar"):
        with tarfile.open(path) as archive:
            for member in archive:
                assert (member.mtime, member.uid, member.gid, member.uname, member.gname) == (0, 0, 0, "", "")
                assert "/" not in member.name


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_worker_processes_read_them_too(folders: tuple[Path, Path], start: str) -> None:
    photos = PreparedPhotos(folders[1], cache=False)
    first = photos[0]  # a file is open when the workers start
    context = multiprocessing.get_context(start)
    loader = DataLoader(photos, batch_size=2, num_workers=2 if start == "fork" else 1, multiprocessing_context=context)
    batches = list(loader)
    assert torch.cat([batch["index"] for batch in batches]).tolist() == list(range(len(NAMES)))
    plain = PreparedPhotos(folders[0])
    assert torch.equal(torch.cat([batch["photo"] for batch in batches]), torch.stack([item["photo"] for item in plain]))
    assert same(photos[0], first)


def test_windows_reads_what_was_prepared_and_says_that_it_does_not_prepare(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "pread")
    plain, tar = (PreparedPhotos(folder, cache=False) for folder in folders)
    assert all(same(plain[index], tar[index]) for index in range(len(NAMES)))
    with pytest.raises(OSError, match="Linux and macOS only"):
        prepare_photos(folders[0] / "photo", tmp_path / "out", contour="none", align=False)
    assert not (tmp_path / "out").exists()


def test_a_copy_opens_its_own_files_and_all_are_closed(folders: tuple[Path, Path]) -> None:
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").is_dir() else None
    photos = PreparedPhotos(folders[1], cache=False)
    again = copy.deepcopy(photos)  # as when it is sent: open files stay behind
    assert all(same(photos[index], again[index]) for index in range(len(NAMES)))
    del photos, again
    if before is not None:
        assert len(os.listdir("/proc/self/fd")) == before


def place(folder: Path, name: str, kind: str = "photo") -> tuple[Path, int, int]:
    file = json.loads((folder / "manifest.json").read_text())["entries"][name]["files"][kind]
    return folder / file["path"], file["offset"], file["size"]


def test_every_flipped_bit_of_a_member_is_noticed_with_tar_and_member(tars: Path) -> None:
    photos = PreparedPhotos(tars, cache=False)
    index = photos.names.index("b.c")
    path, offset, size = place(tars, "b.c")
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for position in [*range(offset - 512, offset - 512 + 100, 9), *rng.integers(offset, offset + size, 150).tolist()]:
        data = bytearray(whole)
        data[position] ^= 1 << int(rng.integers(8))
        path.write_bytes(data)
        photos._images._files.close()
        with pytest.raises(ValueError, match=rf"{path.name}:b%2Ec\.photo\.png cannot be read.*makes it anew"):
            photos[index]
    path.write_bytes(whole)
    photos[index]


def test_cut_missing_and_exchanged_tars_are_noticed(tars: Path) -> None:
    path, offset, _ = place(tars, "b.c")
    whole = path.read_bytes()
    path.write_bytes(whole[: offset + 10])
    with pytest.raises(ValueError, match=rf"{path.name} ends before its member"):
        PreparedPhotos(tars)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=path.name):
        PreparedPhotos(tars)
    other = next(tar for tar in sorted(tars.glob("*.tar")) if tar.stat().st_size > offset)
    path.write_bytes(other.read_bytes().ljust(len(whole), b"\0"))  # readable photos, of other people
    photos = PreparedPhotos(tars)
    with pytest.raises(ValueError, match=r"b%2Ec\.photo\.png"):
        photos[photos.names.index("b.c")]
    path.write_bytes(whole)
    manifest = json.loads((tars / "manifest.json").read_text())
    manifest["entries"]["a"]["files"]["photo"]["sha256"] = "0" * 64
    (tars / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match=r"a\.photo\.png .*SHA-256 differs"):
        PreparedPhotos(tars, verify=True)


def test_a_manifest_cannot_point_outside_with_a_tar(tars: Path) -> None:
    manifest = json.loads((tars / "manifest.json").read_text())
    manifest["entries"]["a"]["files"]["photo"]["path"] = "../other.tar"
    (tars / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match="points outside its folder for a"):
        PreparedPhotos(tars)


def test_a_manifest_that_is_cut_short_or_out_of_order_is_refused(tars: Path) -> None:
    lines = (tars / "manifest.json").read_bytes().splitlines(keepends=True)
    first = lines.index(b'"entries": {\n') + 1
    for damaged in (lines[:-1], lines[:-2], [*lines[:first], lines[first + 1], lines[first], *lines[first + 2 :]]):
        (tars / "manifest.json").write_bytes(b"".join(damaged))
        with pytest.raises(ValueError, match=r"cut short|stands behind|cannot be read as JSON"):
            PreparedPhotos(tars)
