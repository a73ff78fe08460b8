"""PreparedPhotos and ProceduralFaces: items, splits, errors."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.color import rgb2gray
from skimage.feature import canny
from torch.utils.data import DataLoader

from calisketch.datasets import PreparedPhotos, ProceduralFaces, prepare_cuhk


@pytest.fixture
def prepared(release: Path, tmp_path: Path, splits: dict[str, str]) -> Path:
    """A prepared folder with contours: the outlines stand in for HED's, whose weights a test cannot have."""
    out = tmp_path / "prepared"
    prepare_cuhk(release, out, splits, size=64, contour="none", workers=0)
    manifest = json.loads((out / "manifest.json").read_text())
    manifest["settings"]["contour"] = "hed"
    for name, entry in manifest["entries"].items():
        Image.new("L", (64, 64), 51).save(out / "contour" / f"{name}.png")
        entry["files"]["contour"] = {"path": f"contour/{name}.png", "sha256": "not checked"}
    (out / "manifest.json").write_text(json.dumps(manifest))
    return out


def test_an_item_has_the_tracks_shapes_and_ranges_of_the_contract(prepared: Path) -> None:
    items = PreparedPhotos(prepared, "train", size=64, track="artist")
    assert len(items) == 2
    item = items[1]
    assert set(item) == {"photo", "contour", "detail", "artist", "index"}
    assert item["photo"].shape == (3, 64, 64)
    for kind in ("contour", "detail", "artist"):
        assert item[kind].shape == (1, 64, 64)
    assert all(item[kind].dtype == torch.float32 for kind in ("photo", "contour", "detail", "artist"))
    assert torch.equal(item["contour"], torch.full((1, 64, 64), 0.2))
    assert set(item["detail"].unique().tolist()) == {0.0, 1.0}
    assert 0 < item["artist"].mean() < 0.5  # lines are the smaller part, so ink is 1
    assert (item["index"].dtype, int(item["index"])) == (torch.int64, 1)
    pixels = np.asarray(Image.open(prepared / "photo" / f"{items.names[1]}.png"))
    assert np.array_equal((item["photo"] * 255).round().byte().permute(1, 2, 0).numpy(), pixels)
    assert np.array_equal(item["detail"][0].numpy() > 0, canny(rgb2gray(pixels), sigma=2.0 * 64 / 256))


def test_the_cache_changes_nothing_and_cannot_be_written_through(prepared: Path) -> None:
    cached, plain = PreparedPhotos(prepared), PreparedPhotos(prepared, cache=False)
    cached[0]["photo"].zero_()
    for key, value in plain[0].items():
        assert torch.equal(cached[0][key], value)
    assert torch.equal(cached[-1]["photo"], plain[1]["photo"])
    with pytest.raises(IndexError):
        cached[2]


def test_a_loader_batches_it(prepared: Path) -> None:
    batch = next(iter(DataLoader(PreparedPhotos(prepared), batch_size=2)))
    assert batch["photo"].shape == (2, 3, 64, 64)
    assert batch["index"].tolist() == [0, 1]


def test_a_wrong_root_split_track_or_size_is_explained(prepared: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no such folder.*calisketch prepare-cuhk "):
        PreparedPhotos(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"no manifest\.json.*calisketch prepare "):
        PreparedPhotos(tmp_path / "empty")
    with pytest.raises(FileNotFoundError, match=r"source=FOLDER 'out=.*/my photos'"):
        PreparedPhotos(tmp_path / "my photos")
    with pytest.raises(ValueError, match=r"prepared at size 64, expected 128.*size=128"):
        PreparedPhotos(prepared, size=128)
    with pytest.raises(ValueError, match="one of train, validation, test; got 'val'"):
        PreparedPhotos(prepared, "val")
    with pytest.raises(ValueError, match="artist"):
        PreparedPhotos(prepared, track="sketch")


def test_missing_damaged_and_changed_files_are_named(prepared: Path) -> None:
    (prepared / "photo" / "m-008-01.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"1 files .* missing.*m-008-01\.png.*same preparation again"):
        PreparedPhotos(prepared)
    (prepared / "photo" / "m-008-01.png").write_bytes(b"damaged")
    with pytest.raises(ValueError, match=r"m-008-01\.png cannot be read"):
        PreparedPhotos(prepared)[1]
    Image.new("RGB", (32, 32)).save(prepared / "photo" / "m-008-01.png")
    with pytest.raises(ValueError, match=r"must be 64x64.*got 32x32"):
        PreparedPhotos(prepared)[1]
    with pytest.raises(ValueError, match="SHA-256 differs"):
        PreparedPhotos(prepared, verify=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "cannot be read as JSON"), ("[]", "no manifest"), ('{"format": "other"}', "no manifest"),
     ('{"format": "calisketch-photos", "format_version": 99}', "format version 99, expected at most 2"),
     ('{"format": "calisketch-photos", "format_version": 1}', "lacks its entries")],
)  # fmt: skip
def test_damaged_and_newer_manifests_are_refused(prepared: Path, text: str, message: str) -> None:
    (prepared / "manifest.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        PreparedPhotos(prepared)


def test_a_manifest_cannot_point_outside_its_folder(prepared: Path) -> None:
    manifest = json.loads((prepared / "manifest.json").read_text())
    manifest["entries"]["f-005-01"]["files"]["photo"]["path"] = "../../secret.png"
    (prepared / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match="points outside its folder"):
        PreparedPhotos(prepared)


def test_drawn_faces_depend_on_seed_and_index_alone() -> None:
    few, many = ProceduralFaces(2, 32, seed=5), ProceduralFaces(9, 32, seed=5)
    for index in range(2):
        for key, value in few[index].items():
            assert torch.equal(value, many[index][key])
    assert not torch.equal(few[0]["photo"], few[1]["photo"])
    assert not torch.equal(few[0]["photo"], ProceduralFaces(1, 32, seed=6)[0]["photo"])


@pytest.mark.parametrize("size", [32, 64, 100])
def test_drawn_faces_are_items_like_those_of_photos(size: int) -> None:
    item = ProceduralFaces(1, size)[0]
    assert item["photo"].shape == (3, size, size)
    assert item["contour"].shape == item["detail"].shape == (1, size, size)
    assert 0 <= item["contour"].min() < 0.01
    assert 0.9 < item["contour"].max() <= 1
    assert set(item["detail"].unique().tolist()) == {0.0, 1.0}
    assert item["photo"].std() > 0.1


def test_drawn_faces_have_their_eyes_where_photos_have_them() -> None:
    """Pupils are dark: around (96, 131) and (160, 131) of 256 it is darker than between the eyes."""
    for item in list(ProceduralFaces(6, 128)):
        grey = item["photo"].mean(0)
        between = grey[64:68, 62:67].mean()
        for x in (48, 80):
            assert grey[64:67, x - 1 : x + 2].mean() < between - 0.1


def test_the_contour_of_drawn_faces_covers_most_of_cannys_pixels() -> None:
    """As HED's does (71 % above 0.5 on photos): the outlines belong to what is drawn."""
    shares = []
    for index in range(8):
        item = ProceduralFaces(8, 128)[index]
        near = torch.nn.functional.max_pool2d(item["contour"], 3, 1, 1)
        shares.append(float((near[item["detail"] > 0] > 0.3).float().mean()))
    assert np.mean(shares) > 0.7, shares


def test_drawn_faces_refuse_impossible_requests() -> None:
    with pytest.raises(ValueError, match="count"):
        ProceduralFaces(0)
    with pytest.raises(ValueError, match="size"):
        ProceduralFaces(4, 8)
    with pytest.raises(IndexError):
        ProceduralFaces(4, 32)[4]
