"""Sketcher: a photo in, a sketch out, in kind and in place; and the command that draws files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from calisketch.__main__ import main
from calisketch.boundary import alignment, sheet
from calisketch.boundary.images import SketchError
from calisketch.datasets import ProceduralFaces
from calisketch.networks import UNet
from calisketch.relatives.sketcher import Sketcher, place_photo
from calisketch.sketching import LearnedStyle
from calisketch.weights import folder as model_folder
from calisketch.weights.folder import ModelFolderError

pytestmark = pytest.mark.usefixtures("one_thread", "no_detector")

SIDE = 32


class Luma(nn.Module):
    """Draws the dark parts of a photo: what comes out is known."""

    divisor = minimum_side = 1

    def forward(self, photo: Tensor) -> Tensor:
        return 1 - photo.mean(1, keepdim=True)


@pytest.fixture(scope="module")
def network() -> UNet:
    torch.manual_seed(0)
    network = UNet(3, 1, width=4, depth=5)
    nn.init.normal_(network.output.weight, 0.0, 0.5)
    return network.eval()


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return (ProceduralFaces(1, SIDE)[0]["photo"].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)


def test_every_kind_of_photo_is_answered_in_kind(network: UNet, photo: np.ndarray, tmp_path: Path) -> None:
    sketcher = Sketcher(network, SIDE)
    path = tmp_path / "photo.png"
    Image.fromarray(photo).save(path)
    drawn = sketcher.draw(path)
    assert (drawn.mode, drawn.size) == ("L", (SIDE, SIDE))
    expected = np.asarray(drawn)
    assert expected.std() > 1
    assert np.array_equal(np.asarray(sketcher.draw(Image.fromarray(photo))), expected)
    array = sketcher.draw(photo)
    assert array.shape == (SIDE, SIDE)
    assert array.dtype == np.uint8
    assert np.array_equal(array, expected)
    single = sketcher.draw(photo.astype(np.float64) / 255)
    assert single.dtype == np.float64
    assert np.abs(single * 255 - expected).max() <= 0.51
    tensor = torch.from_numpy(photo.copy()).permute(2, 0, 1)
    assert torch.equal(sketcher.draw(tensor), torch.from_numpy(expected.copy())[None])
    batch = sketcher.draw(torch.stack([tensor, tensor.flip(-1), tensor]), batch_size=2)
    assert batch.shape == (3, 1, SIDE, SIDE)
    assert torch.equal(batch[0], batch[2])
    several = sketcher.draw([path, photo])
    assert isinstance(several[0], Image.Image)
    assert np.array_equal(several[1], expected)
    sheer = np.concatenate([photo, np.zeros((SIDE, SIDE, 1), np.uint8)], -1)
    white = np.full_like(photo, 255)
    assert np.array_equal(sketcher.draw(sheer), sketcher.draw(white)), "transparent parts count as white"


def test_it_is_what_training_saw_and_what_the_style_draws(network: UNet, photo: np.ndarray, tmp_path: Path) -> None:
    sketcher = Sketcher(network, SIDE, {"name": "hand"})
    batch = torch.from_numpy(photo.copy()).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad():
        ink = network(batch)
    picture = sketcher.from_batch({"photo": batch})
    assert picture.shape == (1, 3, SIDE, SIDE)
    torch.testing.assert_close(1 - picture[:, :1], ink)
    assert np.abs(sketcher.draw(photo).astype(int) - 255 * (1 - ink[0, 0].numpy())).max() < 1
    folder = sketcher.save_pretrained(tmp_path / "model", half=False)
    again = Sketcher.from_pretrained(folder)
    assert (again.size, again.info) == (SIDE, {"name": "hand"})
    assert repr(again).startswith("Sketcher(32 px, sketcher: UNet of ")
    assert torch.equal(again.from_batch({"photo": batch}), picture)
    torch.testing.assert_close(LearnedStyle(folder).draw(batch), 1 - picture[:, :1])
    with pytest.raises(ValueError, match=r"photo must be \(N, 3, 32, 32\)"):
        sketcher.from_batch({"photo": batch[..., :16]})


def test_a_photo_of_another_shape_comes_back_in_its_own(photo: np.ndarray) -> None:
    sketcher = Sketcher(Luma(), SIDE)
    wide = np.full((40, 80, 3), 255, np.uint8)
    wide[10:30, 20:30] = 0
    drawn = sketcher.draw(wide)
    assert drawn.shape == (40, 80)
    ink = 255 - drawn.astype(float)
    rows, columns = np.nonzero(ink > 128)
    assert abs(rows.mean() - 19.5) < 1
    assert abs(columns.mean() - 24.5) < 1
    assert drawn[20, 60] == 255


def test_a_face_off_its_place_is_brought_there_and_back(monkeypatch: pytest.MonkeyPatch) -> None:
    eyes = (150.0, 60.0), (182.0, 60.0)  # half the frame's distance: the frame covers 128 pixels of the photo
    monkeypatch.setattr(alignment, "detector_available", lambda: True)
    monkeypatch.setattr(alignment, "find_eyes", lambda rgb: eyes)
    photo = np.full((200, 300, 3), 90, np.uint8)
    placement = place_photo(photo.astype(np.float32) / 255, 256, "auto")
    assert placement.found_by == "eyes"
    there = placement.matrix @ [150.0, 60.0, 1.0]
    np.testing.assert_allclose(there, [96, 131], atol=1e-6)
    drawn = Sketcher(Luma(), 256).draw(photo)
    inside = drawn < 200
    assert drawn.shape == (200, 300)
    rows, columns = np.nonzero(inside)
    assert columns.max() - columns.min() == pytest.approx(128, abs=3)
    assert (columns.min() + columns.max()) / 2 == pytest.approx(166, abs=2)
    assert rows.min() == 0
    assert (drawn[:, :90] == 255).all(), "outside the frame the paper stays white"
    assert np.abs(drawn[20:100, 120:200].astype(int) - 90).max() <= 1
    plain = Sketcher(Luma(), 256).draw(photo, align=False)
    assert (plain < 200).all()

    canonical = alignment.canonical_eyes(200)
    monkeypatch.setattr(alignment, "find_eyes", lambda rgb: ((canonical[0][0] + 2, canonical[0][1]), canonical[1]))
    square = np.zeros((200, 200, 3), np.float32)
    assert place_photo(square, 256, "auto").found_by == "frame", "it is there already"
    assert place_photo(square, 256, True).found_by == "eyes"
    monkeypatch.setattr(alignment, "find_eyes", lambda rgb: None)
    assert place_photo(square, 256, "auto").found_by == "frame"
    with pytest.raises(SketchError, match=r"shows no face that the detector finds.*align=False"):
        place_photo(square, 256, True)


def test_few_large_photos_are_drawn_at_a_time_and_none_is_left_out(
    photo: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    sketcher, seen = Sketcher(Luma(), SIDE), []
    run = sketcher._computing.run
    monkeypatch.setattr(
        sketcher._computing, "run", lambda net, given, device: seen.append(len(given)) or run(net, given)
    )
    monkeypatch.setattr(sheet, "_MOST_PIXELS", 2 * SIDE * SIDE)
    large = np.repeat(np.repeat(photo, 2, 0), 2, 1)
    drawn = sketcher.draw([photo, photo, large, photo, photo[::-1].copy()], batch_size=np.int64(3), align=False)
    assert seen == [2, 1, 2], "as many as hold so many pixels, or one that is larger"
    assert [each.shape for each in drawn] == [(SIDE, SIDE)] * 2 + [(2 * SIDE, 2 * SIDE)] + [(SIDE, SIDE)] * 2
    assert np.array_equal(drawn[4], drawn[0][::-1])


def test_a_moved_sketcher_stays_where_none_is_said(network: UNet, photo: np.ndarray) -> None:
    sketcher = Sketcher(network, SIDE)
    assert np.array_equal(sketcher.to(None).draw(photo), sketcher.draw(photo))


def test_wrong_photos_options_and_models_are_named(network: UNet, photo: np.ndarray, tmp_path: Path) -> None:
    sketcher = Sketcher(network, SIDE)
    with pytest.raises(ValueError, match="align must be"):
        sketcher.draw(photo, align="yes")  # type: ignore[arg-type]
    for batch_size in (0, True, 2.0):
        with pytest.raises(ValueError, match="batch_size must be a whole number"):
            sketcher.draw(photo, batch_size=batch_size)  # type: ignore[arg-type]
    with pytest.raises(SketchError, match="empty list"):
        sketcher.draw([])
    with pytest.raises(FileNotFoundError):
        sketcher.draw(tmp_path / "none.png")
    with pytest.raises(ValueError, match=r"network must map 3 channels to 1; got 1 to 3\. It draws: a photo in"):
        Sketcher(UNet(1, 3, width=4, depth=5), SIDE)
    with pytest.raises(ValueError, match="size must be"):
        Sketcher(network, 0)
    painter = model_folder.save(tmp_path / "painter", {"isn": UNet(1, 3, width=4, depth=5)}, SIDE)
    with pytest.raises(ModelFolderError, match=r"holds the networks .*'isn'.*It is no photo-to-sketch model"):
        Sketcher.from_pretrained(painter)


def test_the_command_draws_files_and_folders(
    network: UNet, photo: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*arguments: str) -> int:
        return main(["sketcher", "draw", *arguments])

    model = Sketcher(network, SIDE).save_pretrained(tmp_path / "model", half=False)
    (tmp_path / "photos" / "more").mkdir(parents=True)
    for name in ("a.png", "more/b.png"):
        Image.fromarray(photo).save(tmp_path / "photos" / name)
    out = tmp_path / "out"
    assert run(str(tmp_path / "photos"), "--out", str(out), "--model", str(model)) == 0
    assert sorted(str(path.relative_to(out)) for path in out.rglob("*.png")) == ["a.png", "more/b.png"]
    assert np.array_equal(np.asarray(Image.open(out / "a.png")), Sketcher.from_pretrained(model).draw(photo))
    (tmp_path / "bad.png").write_bytes(b"no image")
    assert run(str(tmp_path / "bad.png"), "--out", str(out), "--model", str(model), "--no-align") == 1
    assert "bad.png" in capsys.readouterr().err
    assert run(str(tmp_path / "photos"), "--out", str(out), "--model", str(tmp_path)) == 2
    assert "config.json" in capsys.readouterr().err
