"""XGan: corrupted pictures in, restored ones of their kind and size out; photos through the file; and the commands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from calisketch.__main__ import main
from calisketch.boundary.images import SketchError
from calisketch.compression.point_file import PointFileError, read
from calisketch.datasets.drawn.procedural import ProceduralFaces
from calisketch.networks import EncoderDecoder
from calisketch.relatives.x_gans import XGan
from calisketch.sketching import Corruption
from calisketch.weights import folder as model_folder
from calisketch.weights.folder import ModelFolderError

pytestmark = pytest.mark.usefixtures("one_thread")
SIDE = 64


SEEN: list[Tensor] = []


class Show(nn.Module):
    """Gives back what it is shown, a tenth darker, and remembers it."""

    def forward(self, given: Tensor) -> Tensor:
        SEEN.append(given)
        return 0.9 * given


@pytest.fixture(scope="module")
def model() -> XGan:
    torch.manual_seed(0)
    generator = EncoderDecoder(3, 3, width=8, blocks=1, dilation=1, skips=False, head="tanh", dropout=0.5)
    return XGan(generator, SIDE, {"task": "points"})


@pytest.fixture(scope="module")
def shown() -> XGan:
    return XGan(Show(), SIDE, {"task": "points"})


@pytest.fixture(scope="module")
def photo() -> Tensor:
    """A drawn face, (3, 64, 64), of 8 bits and nowhere white."""
    return (ProceduralFaces(1, SIDE)[0]["photo"] * 229).round() / 255


@pytest.fixture(scope="module")
def batch(photo: Tensor) -> dict[str, Tensor]:
    photos = torch.stack([photo, photo.flip(2), 1 - photo])
    return {"photo": photos, "sketch": Corruption("points", 10)(photos, seed=0, epoch=0, index=[0, 1, 2])}


def as_array(picture: Tensor) -> np.ndarray:
    return (picture.permute(1, 2, 0) * 255).round().byte().numpy()


def test_restoring_is_what_the_network_does_alone_and_in_batches(model: XGan, batch: dict[str, Tensor]) -> None:
    corrupted = batch["sketch"][:, :3]
    with torch.no_grad():
        expected = model.generator(corrupted)
    torch.testing.assert_close(model.from_batch(batch), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(model.restore(corrupted), expected, atol=1e-5, rtol=0)
    singly = torch.stack([model.restore(one, batch_size=1) for one in corrupted])
    torch.testing.assert_close(singly, expected, atol=1 / 255, rtol=0)
    assert torch.equal(model.restore(corrupted), model.restore(corrupted))  # no dropout in use


def test_the_answer_is_of_the_pictures_kind_and_size(model: XGan, photo: Tensor, tmp_path: Path) -> None:
    array = as_array(photo)
    Image.fromarray(array).save(tmp_path / "one.png")
    for given in (tmp_path / "one.png", str(tmp_path / "one.png"), Image.fromarray(array)):
        answer = model.restore(given)
        assert (type(answer), answer.size, answer.mode) == (Image.Image, (64, 64), "RGB")
    for dtype, most in ((np.uint8, 255), (np.uint16, 65535), (np.float64, 1)):
        answer = model.restore((photo.permute(1, 2, 0).numpy() * most).astype(dtype))
        assert (answer.shape, answer.dtype) == ((64, 64, 3), dtype)
    assert model.restore((photo * 255).byte()).dtype == torch.uint8
    several = model.restore([array, [Image.fromarray(array)], photo])
    assert [type(each) for each in several] == [np.ndarray, list, Tensor]
    for shape in ((100, 40), (33, 90), (64, 64), (300, 200)):
        resized = np.asarray(Image.fromarray(array).resize(shape[::-1]))
        assert model.restore(resized).shape == (*shape, 3)
    transparent = Image.fromarray(np.dstack([array, np.full((64, 64), 128, np.uint8)]))
    assert model.restore(transparent).mode == "RGB"


def test_what_is_white_or_masked_counts_as_missing(shown: XGan, batch: dict[str, Tensor], photo: Tensor) -> None:
    corrupted, kept = batch["sketch"][0, :3], batch["sketch"][0, 3]
    array = as_array(corrupted)
    answer = shown.restore(array, paste=True).astype(int)
    expected = np.where(kept.numpy()[..., None] > 0, array, np.rint(0.9 * 255)).astype(int)
    assert np.abs(answer - expected).max() <= 1
    # a photo as it is, and a mask: what is not kept is made white, as training had it
    mask = (kept.numpy() * 255).astype(np.uint8)
    masked = shown.restore(as_array(photo), mask).astype(int)
    assert np.abs(masked - np.rint(0.9 * array)).max() <= 1
    assert np.array_equal(shown.restore(as_array(photo), Image.fromarray(mask)), masked)
    assert shown.restore([array, array], [mask, mask])[1].shape == (64, 64, 3)
    noise = XGan(Show(), SIDE, {"task": "colour_noise"})
    seen = noise.restore(as_array(photo), mask).astype(int)
    assert np.abs(seen - np.rint(0.9 * as_array(photo))).max() <= 1  # there nothing is white
    with pytest.raises(ValueError, match="paste needs kept: a model of the task 'colour_noise'"):
        noise.restore(array, paste=True)


def test_sparse_points_of_a_larger_picture_stay_points(shown: XGan, photo: Tensor) -> None:
    large = torch.nn.functional.interpolate(photo[None], size=256, mode="nearest")
    corrupted = Corruption("points", 5)(large, seed=0, epoch=0, index=[0])[0, :3]
    SEEN.clear()
    assert shown.restore(corrupted).shape == (3, 256, 256)
    (seen,) = SEEN
    known = seen[0].amin(0) < 1 - 1e-6
    assert known.float().mean() == pytest.approx(0.05, abs=0.005)  # not grey all over, between the points and white
    assert (seen[0] - photo).abs()[:, known].mean() < 0.02


def test_a_photo_goes_through_its_file(shown: XGan, photo: Tensor, tmp_path: Path) -> None:
    for kind in ("feature", "random"):
        data = shown.compress(photo, 10, kind, seed=5)
        assert data == shown.compress(as_array(photo), 10, kind, seed=5)
        assert data != shown.compress(photo, 10, kind, seed=6)
        points = read(data)
        assert (len(points.rows), points.side, points.seed) == (410, SIDE, 5 if kind == "random" else None)
        answer = shown.decompress(data, kind="tensor")
        white = torch.full((3, 64, 64), 0.9)
        white[:, points.rows, points.columns] = 0.9 * photo[:, points.rows, points.columns]
        torch.testing.assert_close(answer, white, atol=5 / 255, rtol=0)  # five bits
        pasted = shown.decompress(data, kind="tensor", paste=True)
        at = pasted[:, points.rows, points.columns]
        torch.testing.assert_close(at, photo[:, points.rows, points.columns], atol=5 / 255, rtol=0)
        path = shown.compress(photo, 10, kind, seed=5, out=tmp_path / "one.xgp")
        assert path.read_bytes() == data
        assert [entry.name for entry in tmp_path.iterdir()] == ["one.xgp"]
        assert np.array_equal(np.asarray(shown.decompress(path)), shown.decompress(data, kind="array"))
    assert len(shown.compress(photo, 5)) < len(shown.compress(photo, 10)) < len(shown.compress(photo, 10, bits=8))


def test_the_picture_has_the_photos_size(shown: XGan, model: XGan, photo: Tensor) -> None:
    shapes = [(90, 60), (64, 64), (40, 200), (300, 310)]
    photos = [np.asarray(Image.fromarray(as_array(photo)).resize(shape[::-1])) for shape in shapes]
    files = shown.compress(photos, 20)
    assert [picture.size for picture in shown.decompress(files)] == [shape[::-1] for shape in shapes]
    made = shown.decompress(files, kind="array", batch_size=2)
    assert [each.shape for each in made] == [(*shape, 3) for shape in shapes]
    larger = XGan(Show(), 128)  # files of another model's grid
    assert larger.decompress(files[0], kind="tensor").shape == (3, 90, 60)
    assert XGan(Show(), 32).decompress(files[0]).size == (60, 90)
    torch.testing.assert_close(
        model.decompress(files[1], kind="tensor"), model.decompress(files, kind="tensor")[1], atol=1 / 255, rtol=0
    )


def test_measuring_compression_counts_the_files(shown: XGan, batch: dict[str, Tensor]) -> None:
    answer, said = shown.from_batch(batch, percent=5, points="random", bits=4, seed=1)
    sizes = [len(shown.compress(one, 5, "random", bits=4, seed=1)) for one in batch["photo"]]
    assert said == {"bpp": [8 * size / 64**2 for size in sizes]}
    assert torch.equal(answer[1], shown.decompress(shown.compress(batch["photo"][1], 5, "random", bits=4, seed=1),
                                                   kind="tensor"))  # fmt: skip
    pasted = shown.from_batch(batch, paste=True)
    kept = (batch["sketch"][:, 3:] > 0).expand(-1, 3, -1, -1)
    assert torch.equal(pasted[kept], batch["sketch"][:, :3][kept])
    without = {"sketch": torch.cat([batch["sketch"][:, :3], torch.zeros(3, 1, 64, 64)], 1)}
    assert torch.equal(shown.from_batch(without), shown.from_batch(batch))  # the mask is not looked at, nor the photo


WRONG_PICTURES: dict[str, tuple[type[Exception], Any, dict[str, Any]]] = {
    "no such sketch": (FileNotFoundError, "nowhere.png", {}),
    "keeps no pixel of the photo": (SketchError, np.full((64, 64, 3), 255, np.uint8), {}),
    "expected its picture's 64 x 64": (SketchError, np.zeros((64, 64, 3), np.uint8), {"kept": np.zeros((32, 32))}),
    "a mask for each of 1 pictures; got 2": (SketchError, np.zeros((64, 64, 3)), {"kept": [np.ones((64, 64))] * 2}),
    "NaN or infinite": (SketchError, np.full((64, 64, 3), np.nan), {}),
    "got an empty list": (SketchError, [], {}),
    "must be a path, a PIL image": (SketchError, 5, {}),
    "batch_size must be a whole number": (ValueError, np.zeros((64, 64, 3)), {"batch_size": 0}),
    "batch_size must be a whole number, at least 1; got True": (
        ValueError,
        np.zeros((64, 64, 3)),
        {"batch_size": True},
    ),
    "cannot compute on the device": (ValueError, np.zeros((64, 64, 3)), {"device": "nonsense"}),
}


@pytest.mark.parametrize("message", WRONG_PICTURES)
def test_what_cannot_be_restored_says_why(model: XGan, message: str) -> None:
    error, given, options = WRONG_PICTURES[message]
    with pytest.raises(error, match=message):
        model.restore(given, **options)


def test_what_cannot_be_compressed_or_rebuilt_says_why(model: XGan, photo: Tensor, tmp_path: Path) -> None:
    data = model.compress(photo)
    (tmp_path / "cut.xgp").write_bytes(data[:-1])
    (tmp_path / "foreign.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(60))
    for given, message in (
        (tmp_path / "cut.xgp", "cut short"),
        (str(tmp_path / "foreign.png"), "no file of points"),
        (data[:9], "cut short"),
        (tmp_path, "is a folder"),
        ([], "got an empty list"),
        (7, "must be bytes, a path"),
    ):
        with pytest.raises(PointFileError, match=message):
            model.decompress(given)
    with pytest.raises(FileNotFoundError, match="no such file"):
        model.decompress(tmp_path / "nowhere.xgp")
    with pytest.raises(ValueError, match="kind must be one of pil, array, tensor"):
        model.decompress(data, kind="jpeg")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="out is one file"):
        model.compress([photo, photo], out=tmp_path / "two.xgp")
    for percent in (120, 0, True, float("nan"), "5"):
        with pytest.raises(ValueError, match=r"percent must be in \(0, 100\]; got"):
            model.compress("nowhere.png", percent)
    for name, values in {"bits": (0, 9, True, 5.0), "seed": (-1, True, 1.5, 2**32)}.items():
        for value in values:
            with pytest.raises(ValueError, match=f"{name} must be a whole number from"):
                model.compress("nowhere.png", **{name: value})
    with pytest.raises(FileNotFoundError, match=r"out is .*one\.xgp, but there is no folder .*missing\. Make it first"):
        model.compress(photo, out=tmp_path / "missing" / "one.xgp")
    with pytest.raises(IsADirectoryError, match="out cannot be written") as raised:
        model.compress(photo, out=tmp_path)
    assert "writing" not in str(raised.value)
    with pytest.raises(SketchError, match="must be a path"):
        model.compress(None)
    with pytest.raises(ValueError, match="of the model's size"):
        model.from_batch({"sketch": torch.zeros(1, 4, 32, 32)})
    with pytest.raises(ValueError, match="must have 4 channels"):
        model.from_batch({"sketch": torch.zeros(1, 3, 64, 64)})


def test_numpys_numbers_are_numbers(model: XGan, photo: Tensor) -> None:
    numpys = {"percent": np.int64(5), "bits": np.int64(4), "seed": np.int64(3)}
    data = model.compress(photo, points="random", **numpys)
    assert data == model.compress(photo, 5, "random", bits=4, seed=3)
    assert np.array_equal(
        model.decompress([data, data], kind="array", batch_size=np.int64(1))[1], model.decompress(data, kind="array")
    )


def test_noise_of_another_size_is_refused(photo: Tensor) -> None:
    noise = XGan(Show(), SIDE, {"task": "colour_noise"})
    assert noise.restore(photo).shape == (3, SIDE, SIDE)
    for shape in ((80, 64), (32, 32)):
        with pytest.raises(SketchError, match=f"is {shape[1]} x {shape[0]} pixels; expected 64 x 64"):
            noise.restore(np.zeros((*shape, 3), np.uint8))


def test_a_model_is_saved_and_loaded_and_another_kind_is_told(
    model: XGan, batch: dict[str, Tensor], tmp_path: Path
) -> None:
    loaded = XGan.from_pretrained(model.save_pretrained(tmp_path / "model", half=False), "cpu")
    assert repr(loaded).startswith("XGan(64 px, x_gan: EncoderDecoder of")
    assert (loaded.size, loaded.info) == (model.size, model.info)
    assert torch.equal(loaded.from_batch(batch), model.from_batch(batch))
    for device in ("cpu", None):
        assert torch.equal(loaded.to(device).from_batch(batch), model.from_batch(batch))
    painter = {"isn": EncoderDecoder(1, 3, width=4, blocks=1)}
    model_folder.save(tmp_path / "other", painter, 64)
    with pytest.raises(
        ModelFolderError,
        match=r"holds the networks \['isn'\]; expected 'x_gan'. .* but one for calisketch.Cali",
    ):
        XGan.from_pretrained(tmp_path / "other")
    model_folder.save(tmp_path / "grey", {"x_gan": EncoderDecoder(1, 3, width=4, blocks=1)}, 64)
    with pytest.raises(ModelFolderError, match=r"generator must map 3 channels to 3; got 1 to 3\. It repairs"):
        XGan.from_pretrained(tmp_path / "grey")
    with pytest.raises(ValueError, match="size must be"):
        XGan(Show(), 0)
    with pytest.raises(FileNotFoundError, match="no model"):
        XGan.from_pretrained(tmp_path / "nowhere")


def test_the_commands(model: XGan, photo: Tensor, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "photos"
    (folder / "deep").mkdir(parents=True)
    Image.fromarray(as_array(photo)).save(folder / "a.png")
    Image.fromarray(as_array(photo)[:, :40]).save(folder / "deep" / "a.png")
    (folder / "broken.png").write_bytes(b"nothing")
    given = ["--model", str(model.save_pretrained(tmp_path / "model"))]

    assert main(["x-gans", "compress", str(folder), "--out", str(tmp_path / "files"), "--percent", "8", *given]) == 1
    captured = capsys.readouterr()
    assert "2 of 3 done, 1 failed" in captured.out
    assert "broken.png is not an image" in captured.err
    files = sorted(path.relative_to(tmp_path / "files") for path in (tmp_path / "files").rglob("*.*"))
    assert files == [Path("a.xgp"), Path("deep/a.xgp")]
    assert len(read((tmp_path / "files" / "a.xgp").read_bytes()).rows) == round(0.08 * 64 * 64)

    assert main(["x-gans", "expand", str(tmp_path / "files"), "--out", str(tmp_path / "back"), *given]) == 0
    back = {
        str(path.relative_to(tmp_path / "back")): Image.open(path).size for path in (tmp_path / "back").rglob("*.*")
    }
    assert back == {"a.png": (64, 64), "deep/a.png": (40, 64)}
    (tmp_path / "files" / "a.xgp").write_bytes(b"nothing")
    assert main(["x-gans", "expand", str(tmp_path / "files" / "a.xgp"), "--out", str(tmp_path / "back"), *given]) == 1
    assert "no file of points" in capsys.readouterr().err

    mask = np.zeros((64, 64), np.uint8)
    mask[20:40, 20:40] = 255
    (tmp_path / "masks").mkdir()
    Image.fromarray(mask).save(tmp_path / "masks" / "a.png")
    command = ["x-gans", "restore", str(folder / "a.png"), "--out", str(tmp_path / "restored"), *given]
    assert main([*command, "--kept", str(tmp_path / "masks"), "--paste"]) == 0
    restored = np.asarray(Image.open(tmp_path / "restored" / "a.png"))
    assert np.array_equal(restored[20:40, 20:40], as_array(photo)[20:40, 20:40])
    (tmp_path / "masks" / "a.png").unlink()
    assert main([*command, "--kept", str(tmp_path / "masks")]) == 1
    assert "a.png has no masks" in capsys.readouterr().err
    assert main(["x-gans", "restore", "x.png", "--out", str(tmp_path), "--model", str(tmp_path / "nowhere")]) == 2
    assert "no model" in capsys.readouterr().err


def test_compressed_photos_keep_their_subfolders_and_own_masks(model: XGan, photo: Tensor, tmp_path: Path) -> None:
    pictures = {"a/x": as_array(photo), "b/x": as_array(photo)[:, :40], "b/y": as_array(photo)[:50]}
    for name, picture in pictures.items():
        for folder, saved in (("photos", picture), ("masks", np.full(picture.shape[:2], 255, np.uint8))):
            path = tmp_path / folder / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(saved).save(path)
    given = ["--model", str(model.save_pretrained(tmp_path / "model"))]
    small = tmp_path / "photos" / "small"  # among the photos themselves
    assert main(["x-gans", "compress", str(tmp_path / "photos"), "--out", str(small), *given]) == 0
    assert main(["x-gans", "expand", str(small), "--out", str(small), *given]) == 0
    for name, picture in pictures.items():
        assert (small / f"{name}.xgp").is_file()
        assert Image.open(small / f"{name}.png").size == picture.shape[1::-1]
    assert len(list(small.rglob("*.*"))) == 6
    command = ["x-gans", "restore", str(tmp_path / "photos" / "b"), str(tmp_path / "photos" / "a"), "--paste", *given]
    assert main([*command, "--out", str(tmp_path / "one"), "--kept", str(tmp_path / "masks" / "b")]) == 1
    assert (
        main([*command[:3], *command[4:], "--out", str(tmp_path / "two"), "--kept", str(tmp_path / "masks" / "b")]) == 0
    )
    for name in ("x", "y"):
        assert np.array_equal(np.asarray(Image.open(tmp_path / "two" / f"{name}.png")), pictures[f"b/{name}"])
