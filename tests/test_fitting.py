"""CaliSketch.fit: photos in, a trained model out, the old one untouched."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from calisketch import CaliSketch, fitting, weights
from calisketch.boundary import alignment
from calisketch.boundary.images import SketchError
from calisketch.datasets import ProceduralFaces
from calisketch.isn import ISN
from calisketch.networks import VGG19, EncoderDecoder, PatchGAN70
from calisketch.scn import SCN
from calisketch.stage import Schedule
from calisketch.systems.cali_sketch import CaliSketchSystem

pytestmark = pytest.mark.usefixtures("one_thread")

pytest.importorskip("lightning_fabric", reason="needs the extra `train`")


def contour(photo: Tensor) -> Tensor:
    """A stand-in for HED: where the photo changes."""
    grey = photo.mean(1, keepdim=True)
    return ((grey - torch.nn.functional.avg_pool2d(grey, 3, 1, 1)).abs() * 8).clamp(0, 1)


def small_system(scn: Any, isn: Any, schedules: Any) -> CaliSketchSystem:
    return CaliSketchSystem(SCN(scn, PatchGAN70(1, 4)), ISN(isn, PatchGAN70(3, 4), VGG19.random()), schedules)


@pytest.fixture(scope="module")
def photos() -> list[np.ndarray]:
    faces = ProceduralFaces(8, 48, seed=0)
    return [(faces[i]["photo"].permute(1, 2, 0).numpy() * 255).astype(np.uint8) for i in range(8)]


@pytest.fixture
def model() -> CaliSketch:
    torch.manual_seed(0)
    return CaliSketch(EncoderDecoder(1, 1, 4, 1), EncoderDecoder(1, 3, 4, 1, head="tanh"), 32, {"name": "small"})


OPTIONS: dict[str, Any] = {
    "contour": contour,
    "align": False,
    "system": small_system,
    "schedules": {name: Schedule(2) for name in ("scn", "isn", "joint")},
    "quiet": True,
    "batch_size": 2,
    "accelerator": "cpu",
}


def test_fit_returns_a_trained_model_and_leaves_its_own(model: CaliSketch, photos: list[np.ndarray]) -> None:
    before = [parameter.clone() for parameter in model.scn_generator.parameters()]
    fitted = model.fit(photos, **OPTIONS)
    assert fitted is not model
    assert fitted.info == {"name": "small", "fitted photos": 8, "fitted stages": ["scn", "isn", "joint"]}
    for old, own, new in zip(before, model.scn_generator.parameters(), fitted.scn_generator.parameters(), strict=True):
        assert torch.equal(old, own)
        assert new.isfinite().all()
    assert any(
        not torch.equal(own, new)
        for own, new in zip(model.isn_generator.parameters(), fitted.isn_generator.parameters(), strict=True)
    )
    assert not fitted.scn_generator.training
    assert fitted.synthesize(np.pad(np.zeros((20, 2), np.uint8), 15, constant_values=255)).shape == (50, 32, 3)


def test_fit_takes_a_folder_and_stages_and_keeps_its_run(
    model: CaliSketch, photos: list[np.ndarray], tmp_path: Path
) -> None:
    (tmp_path / "photos").mkdir()
    for number, photo in enumerate(photos[:3]):
        Image.fromarray(photo).save(tmp_path / "photos" / f"{number}.png")
    run = tmp_path / "run"
    fitted = model.fit(tmp_path / "photos", **OPTIONS, stages=["scn"], run_dir=run)
    assert fitted.info["fitted stages"] == ["scn"]
    assert (run / "metrics.jsonl").is_file()
    for own, new in zip(model.isn_generator.parameters(), fitted.isn_generator.parameters(), strict=True):
        assert torch.equal(own, new)


def test_a_fit_that_is_stopped_does_not_claim_to_have_kept_what_it_has_not(
    model: CaliSketch, photos: list[np.ndarray], tmp_path: Path
) -> None:
    from calisketch.training import Interrupted

    signals: list[int] = []

    def draw(photo: Tensor, **options: Any) -> Tensor:
        if signals:
            os.kill(os.getpid(), signals.pop())
        return photo.mean(1, keepdim=True)

    for run_dir, said in ((None, "nothing is kept. With run_dir=FOLDER"), (tmp_path / "run", "saved in .*checkpoints")):
        signals.append(signal.SIGINT)
        with pytest.raises(Interrupted, match=said):
            model.fit(photos[:2], run_dir=run_dir, **OPTIONS, draw=draw)


def test_photos_of_any_kind_become_the_same_items(photos: list[np.ndarray], tmp_path: Path) -> None:
    Image.fromarray(photos[0]).save(tmp_path / "photo.png")
    kinds = [
        photos[0],
        photos[0].astype(np.float32) / 255,
        Image.fromarray(photos[0]),
        tmp_path / "photo.png",
        torch.from_numpy(photos[0]).permute(2, 0, 1),
    ]
    items = fitting.PhotosInMemory(kinds, 48, contour, align=False)
    assert np.array_equal(items[0]["photo"].permute(1, 2, 0).numpy() * 255, photos[0].astype(np.float32))
    for number in range(1, len(kinds)):
        for name in ("photo", "contour", "detail"):
            assert torch.equal(items[0][name], items[number][name])
    assert items[3]["index"] == 3
    assert set(items[0]["detail"].unique().tolist()) <= {0.0, 1.0}


def test_a_photo_that_lies_on_its_side_is_stood_up_from_a_file_and_from_pil(
    photos: list[np.ndarray], tmp_path: Path
) -> None:
    lying = Image.fromarray(photos[0]).transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # show it turned clockwise
    lying.save(tmp_path / "lying.png", exif=exif)
    items = fitting.PhotosInMemory(
        [photos[0], tmp_path / "lying.png", Image.open(tmp_path / "lying.png")], 48, contour, align=False
    )
    assert torch.equal(items[1]["photo"], items[0]["photo"])
    assert torch.equal(items[2]["photo"], items[0]["photo"])


def test_photos_that_cannot_be_used_are_named(tmp_path: Path, photos: list[np.ndarray]) -> None:
    for given, error, message in (
        ([], ValueError, "photos is empty"),
        (tmp_path, ValueError, "holds no image files"),
        (tmp_path / "nowhere", FileNotFoundError, "no such folder"),
        ([photos[0], photos[0][..., 0]], SketchError, r"photos\[1\] must be"),
        ([photos[0].astype(np.float32)], SketchError, "outside it"),
        ([Image.fromarray(photos[0][..., 0].astype(np.uint16) * 257)], SketchError, "8 bits a channel"),
    ):
        with pytest.raises(error, match=message):
            fitting.PhotosInMemory(given, 32, contour, align=False)
    with pytest.raises(ValueError, match=r"contour must give \(1, 1, 32, 32\)"):
        fitting.PhotosInMemory(photos, 32, lambda photo: photo, align=False)


def test_without_the_detector_photos_are_cropped_and_that_is_said(
    photos: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alignment, "detector_available", lambda: False)
    with pytest.warns(UserWarning, match="not aligned"):
        fitting.PhotosInMemory(photos[:1], 32, contour)


def test_without_heds_file_the_error_says_how_to_get_it(
    model: CaliSketch, photos: list[np.ndarray], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for variable in ("CALISKETCH_WEIGHTS", "CALISKETCH_CACHE", "TORCH_HOME"):
        monkeypatch.setenv(variable, str(tmp_path))
    with pytest.raises(weights.MissingWeights, match="hed"):
        model.fit(photos, **{**OPTIONS, "contour": None})
