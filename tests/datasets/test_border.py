"""What lies beyond a photo: the photo's corners in the frame, the mask of its inside, and the blurred border."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from calisketch.boundary import alignment
from calisketch.boundary.alignment import similarity_from_eyes, warp
from calisketch.datasets import JoinedPhotos, MirroredPhotos, PreparedPhotos, VariedPhotos, prepare_photos
from calisketch.datasets.border import inside_mask, soften_border, source_corners
from calisketch.datasets.drawn.drawn_face import draw_face
from calisketch.datasets.preparing.aligned import align_photo

TILTED = ((60.0, 70.0), (110.0, 80.0))


def test_the_corners_of_a_photo_that_is_the_frame_are_the_frames_own() -> None:
    matrix = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    corners = source_corners(matrix, 32, 32)
    assert corners == [[-0.5, -0.5], [31.5, -0.5], [31.5, 31.5], [-0.5, 31.5]]
    assert inside_mask(corners, 32).all()


@pytest.mark.parametrize("eyes", [TILTED, ((80.0, 90.0), (120.0, 84.0)), ((30.0, 100.0), (160.0, 100.0))])
def test_the_mask_is_a_warped_sheet_of_ones(eyes: alignment.Eyes) -> None:
    """Against an independent way: a photo of ones, warped onto zeros."""
    height, width = 150, 180
    matrix = similarity_from_eyes(*eyes, 256)
    ones = cv2.warpAffine(np.ones((height, width), np.float32), matrix, (256, 256), flags=cv2.INTER_LINEAR)
    mask = inside_mask(source_corners(matrix, height, width), 256)
    differing = mask != (ones >= 0.5)
    rim = cv2.dilate(mask.astype(np.uint8), np.ones((3, 3))) - cv2.erode(mask.astype(np.uint8), np.ones((3, 3)))
    assert not (differing & (rim == 0)).any()
    assert differing.mean() < 0.003


@pytest.mark.parametrize("corners", [None, [[0, 0]], [[0, 0]] * 4, [[0, 0], [9, 0], [9, float("nan")], [0, 9]]])
def test_corners_that_are_none_are_refused(corners: object) -> None:
    with pytest.raises((ValueError, TypeError), match=r"corners|float"):
        inside_mask(corners, 16)  # type: ignore[arg-type]


def test_beyond_the_photo_streaks_are_blurred_and_inside_nothing_changes() -> None:
    """Stripes that run into the photo's upper edge go on as streaks if the edge is only repeated."""
    photo = np.zeros((160, 200, 3), np.uint8)
    photo[:, ::4] = photo[:, 1::4] = 255
    eyes = ((80.0, 60.0), (120.0, 60.0))
    aligned = align_photo(photo, 256, detector=lambda rgb: eyes)
    assert aligned is not None
    image, matrix = aligned
    inside = inside_mask(source_corners(matrix, *photo.shape[:2]), 256)
    streaked = warp(photo, matrix, 256, "edge")
    assert np.array_equal(image[inside], streaked[inside])
    far = np.zeros_like(inside)
    far[:20, 40:216] = True
    assert not inside[far].any(), "the frame reaches beyond this photo"
    assert streaked[far].std() > 100
    assert image[far].std() < 3, "an even grey, no streak"
    first = int(np.nonzero(inside[:, 128])[0][0])
    jump = np.abs(image[first, 60:200].astype(int) - image[first - 1, 60:200]).mean()
    assert jump < 70, "and at the photo's edge it begins as the photo ends"


def test_a_photo_that_fills_the_frame_is_left_as_it_is() -> None:
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    assert soften_border(image, [[-9, -9], [80, -9], [80, 80], [-9, 80]]) is image


@pytest.fixture
def prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two photos, tight to the face, so that the frame reaches beyond them."""
    monkeypatch.setattr(alignment, "detector_available", lambda: True)
    real = align_photo
    monkeypatch.setattr(
        "calisketch.datasets.preparing.item_images.align_photo",
        lambda image, size: real(image, size, detector=lambda rgb: ((30.0, 30.0), (66.0, 34.0))),
    )
    source = tmp_path / "source"
    source.mkdir()
    for index in range(4):
        Image.fromarray(draw_face(96, 1, index)[0]).save(source / f"{index}.png")
    report = prepare_photos(source, tmp_path / "out", size=64, contour="none", workers=0, validation_share=0.3)
    assert report.ok, report
    return tmp_path / "out"


def test_an_item_says_which_of_its_pixels_the_photo_shows(prepared: Path) -> None:
    manifest = json.loads((prepared / "manifest.json").read_text())
    assert manifest["settings"]["border"] == "blurred"
    photos = PreparedPhotos(prepared, inside=True)
    mask = photos[0]["inside"]
    assert mask.shape == (1, 64, 64)
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    corners = manifest["entries"][photos.names[0]]["source_corners"]
    assert np.array_equal(mask[0].numpy() > 0, inside_mask(corners, 64))
    assert "inside" not in PreparedPhotos(prepared)[0], "only where it is asked for"
    joined = JoinedPhotos([photos, PreparedPhotos(prepared, "validation", inside=True)])
    assert all("inside" in joined[place] for place in range(len(joined)))


def test_the_mask_moves_with_the_photo(prepared: Path) -> None:
    photos = PreparedPhotos(prepared, inside=True)
    mirrored = MirroredPhotos(photos)
    assert torch.equal(mirrored[len(photos)]["inside"], photos[0]["inside"].flip(-1))
    white = VariedPhotos(photos, misplaced=0.2, variants=3)
    for place in range(len(white)):
        assert float(white[place]["inside"].mean()) <= float(photos[place % len(photos)]["inside"].mean()) * 1.6
        assert 0 <= float(white[place]["inside"].min()) <= float(white[place]["inside"].max()) <= 1


def test_a_folder_of_before_counts_as_inside_everywhere_and_damage_is_said(prepared: Path) -> None:
    path = prepared / "manifest.json"
    manifest = json.loads(path.read_text())
    names = sorted(name for name, entry in manifest["entries"].items() if entry["split"] == "train")
    del manifest["entries"][names[0]]["source_corners"]
    manifest["entries"][names[1]]["source_corners"] = [[1, 2]]
    path.write_text(json.dumps(manifest))
    photos = PreparedPhotos(prepared, inside=True)
    assert bool((photos[0]["inside"] == 1).all())
    with pytest.raises(ValueError, match=rf"manifest.json is damaged at {names[1]}: corners must be four"):
        photos[1]


def test_tars_and_a_second_run_keep_the_corners(prepared: Path, tmp_path: Path) -> None:
    before = json.loads((prepared / "manifest.json").read_text())["entries"]
    again = prepare_photos(tmp_path / "source", prepared, size=64, contour="none", workers=0, validation_share=0.3)
    assert (again.made, again.kept) == (0, 4)
    assert json.loads((prepared / "manifest.json").read_text())["entries"] == before
    tars = {"size": 64, "contour": "none", "workers": 0, "validation_share": 0.3, "output": "tar"}
    prepare_photos(tmp_path / "source", tmp_path / "tars", **tars)  # type: ignore[arg-type]
    packed = json.loads((tmp_path / "tars" / "manifest.json").read_text())["entries"]
    assert {name: entry["source_corners"] for name, entry in packed.items()} == {
        name: entry["source_corners"] for name, entry in before.items()
    }


def test_so_many_training_photos_are_chosen_by_their_names(tmp_path: Path) -> None:
    for folder, count in (("train", 12), ("val", 2), ("test", 2)):
        (tmp_path / "source" / folder).mkdir(parents=True)
        for index in range(count):
            Image.fromarray(draw_face(40, 1, index)[0]).save(tmp_path / "source" / folder / f"{index:02d}.png")
    options = {"size": 32, "contour": "none", "align": False, "workers": 0}
    few = prepare_photos(tmp_path / "source", tmp_path / "few", train_photos=5, **options)  # type: ignore[arg-type]
    more = prepare_photos(tmp_path / "source", tmp_path / "more", train_photos=9, **options)  # type: ignore[arg-type]
    assert few.splits == {"test": 2, "train": 5, "validation": 2}
    assert more.splits["train"] == 9
    assert set(PreparedPhotos(tmp_path / "few").names) < set(PreparedPhotos(tmp_path / "more").names)
    for wrong in (0, 13, True):
        with pytest.raises(ValueError, match="train_photos must be from 1 to the 12"):
            prepare_photos(tmp_path / "source", tmp_path / "none", train_photos=wrong, **options)  # type: ignore[arg-type]
