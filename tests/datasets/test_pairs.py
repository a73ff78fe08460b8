"""Pairs: prepared from a person's own folder, opened as data, and handed to training as they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from calisketch.datasets import PairedPhotos, PreparedPhotos, ProceduralFaces, photo_pairs, prepare_pairs
from calisketch.datasets.preparing import placed_drawings as drawings_module
from calisketch.datasets.preparing.aligned import align_photo
from calisketch.datasets.preparing.placed_drawings import place_drawing
from calisketch.datasets.preparing.sources import Unreadable
from calisketch.training.batches import TrainingBatches, validation_batches

OPTIONS = {"size": 32, "contour": "none", "align": False, "workers": 0, "page": False}


def lines(width: int, height: int, shift: int = 0) -> Image.Image:
    """Dark lines on white: an oval, eyes and a mouth, off the middle by a shift."""
    page = Image.new("L", (width, height), 255)
    pen = ImageDraw.Draw(page)
    middle, down, reach = width // 2 + shift, height // 2, min(width, height) // 3
    pen.ellipse((middle - reach, down - reach, middle + reach, down + reach), outline=0, width=3)
    for x in (middle - reach // 2, middle + reach // 2):
        pen.ellipse((x - 3, down - 6, x + 3, down), fill=0)
    pen.line((middle - reach // 2, down + reach // 2, middle + reach // 2, down + reach // 2), fill=0, width=3)
    return page


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Eight pairs, two of them for testing, all shifted differently; photos are the drawings in colour."""
    folder = tmp_path / "source"
    for k in range(8):
        below = "test" if k >= 6 else ""
        for name in ("photos", "sketches"):
            (folder / name / below).mkdir(parents=True, exist_ok=True)
        drawing = lines(80, 64, shift=k - 4)
        tinted = np.stack([np.asarray(drawing), np.full((64, 80), 128), np.full((64, 80), 40 * (k % 4))], -1)
        Image.fromarray(tinted.astype(np.uint8)).save(folder / "photos" / below / f"p{k}.png")
        drawing.save(folder / "sketches" / below / f"p{k}.jpg", quality=95)
    return folder


def test_a_folder_of_pairs_is_prepared_and_drawings_stay_over_their_photos(source: Path, tmp_path: Path) -> None:
    report = prepare_pairs(source, tmp_path / "out", **OPTIONS)
    assert report.ok, report
    assert report.splits["test"] == 2
    assert report.splits["validation"] >= 1
    train = photo_pairs(tmp_path / "out", "train", 32)
    test = photo_pairs(tmp_path / "out", "test", 32)
    assert test.names == ["test--p6", "test--p7"]
    for item in (train[0], test[1]):
        assert set(item) == {"photo", "detail", "artist", "sketch", "index"}
        assert torch.equal(item["sketch"], item["artist"])
        off = (item["sketch"][0] - (1 - item["photo"][0])).abs()  # of the photo's red plane, which is the drawing
        assert float(off.mean()) < 0.02
        assert float(item["sketch"].mean()) > 0.03
    again = prepare_pairs(source, tmp_path / "out", **OPTIONS)
    assert (again.made, again.kept) == (0, 8)


def test_what_has_no_partner_is_told_and_the_rest_is_taken(source: Path, tmp_path: Path) -> None:
    (source / "photos" / "alone.png").write_bytes((source / "photos" / "p0.png").read_bytes())
    (source / "sketches" / "p1.jpg").unlink()
    lines(64, 80).save(source / "sketches" / "p2.jpg")  # of another shape than its photo
    Image.new("L", (80, 64), 255).save(source / "sketches" / "p3.jpg")
    lines(64, 64).save(source / "stray.png")
    report = prepare_pairs(source, tmp_path / "out", **OPTIONS)
    said = str(report)
    assert not report.ok
    assert "alone.png has no drawing of the same name" in said
    assert "p1.png has no drawing" in said
    assert "p2.jpg is 64x80, and its photo 80x64" in said
    assert "blank page" in said
    assert "stray.png may be a photo or a drawing" in said
    with pytest.raises(ValueError, match="no pairs in"):
        prepare_pairs(source / "photos", tmp_path / "other", **OPTIONS)
    wrongs = ({"drawings": "copied"}, {"page": "yes"}, {"validation_share": 1.0}, {"validation_every": 1})
    for wrong in (*wrongs, {"align": "columns"}):
        with pytest.raises(ValueError, match=str(next(iter(wrong)))):
            prepare_pairs(source, tmp_path / "other", **(OPTIONS | wrong))


def test_every_so_many_th_training_pair_by_name_is_for_validation(source: Path, tmp_path: Path) -> None:
    report = prepare_pairs(source, tmp_path / "out", **OPTIONS, validation_every=3)
    assert report.splits == {"test": 2, "train": 4, "validation": 2}
    assert PreparedPhotos(tmp_path / "out", "validation").names == ["p2", "p5"]
    for name in ("photos", "sketches"):
        (source / name / "val").mkdir()
        (file,) = (source / name).glob("p0.*")
        file.rename(source / name / "val" / file.name)
    prepare_pairs(source, tmp_path / "named", **OPTIONS, validation_every=3)
    assert PreparedPhotos(tmp_path / "named", "validation").names == ["val--p0"], "a folder's name goes before"


def test_cufs_crops_are_taken_as_they_lie_photo_and_drawing(tmp_path: Path) -> None:
    for part, name in (("train", "a"), ("train", "b"), ("test", "c")):
        page = np.asarray(lines(200, 250)).copy()
        page[127 - 2 : 127 + 3, [73, 74, 75, 76, 77, 123, 124, 125, 126, 127]] = 0  # eyes at (75, 127) and (125, 127)
        for kind in ("photos", "sketches"):
            folder = tmp_path / "cufs" / part / kind
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(page).convert("RGB").save(folder / f"{name}.png")
    options = OPTIONS | {"size": 256, "align": "rows", "validation_every": 2}
    report = prepare_pairs(tmp_path / "cufs", tmp_path / "out", **options)
    assert report.ok, report
    assert report.splits == {"test": 1, "train": 1, "validation": 1}
    item = PreparedPhotos(tmp_path / "out", "test", track="artist")[0]
    assert item["photo"].shape == (3, 256, 256)
    torch.testing.assert_close(item["artist"][0], 1 - item["photo"][0], rtol=0, atol=1.01 / 255)
    for x in (96, 160):
        assert float(item["artist"][0, 129:133, x - 2 : x + 3].min()) > 0.9
    Image.new("L", (100, 100), 255).save(tmp_path / "cufs" / "test" / "photos" / "d.png")
    lines(100, 100).save(tmp_path / "cufs" / "test" / "sketches" / "d.png")
    assert "is 100x100, expected 200x250 or 400x500" in str(
        prepare_pairs(tmp_path / "cufs", tmp_path / "out", **options)
    )


def test_a_traced_drawing_goes_where_its_photos_eyes_go(monkeypatch: pytest.MonkeyPatch) -> None:
    eyes = (70.0, 82.0), (110.0, 78.0)
    monkeypatch.setattr(drawings_module, "find_eyes", lambda rgb: eyes)
    page = lines(180, 160, shift=5)
    photo = np.repeat(np.asarray(page)[..., None], 3, -1)
    settings = {"size": 64, "align": "eyes", "drawings": "traced", "page": False}
    aligned = align_photo(photo, 64, lambda rgb: eyes)
    assert aligned is not None
    placed = place_drawing(np.asarray(page), photo, settings)
    there = (255 - aligned[0][..., 0].astype(int)) * (placed > 0)  # beyond the sheet the photo's edge goes on
    assert np.abs(placed - there).mean() < 3
    large = np.asarray(page.resize((360, 320), Image.Resampling.LANCZOS))  # scanned at twice the photo's resolution
    assert np.abs(place_drawing(large, photo, settings).astype(int) - placed).mean() < 8
    monkeypatch.setattr(drawings_module, "find_eyes", lambda rgb: None)
    with pytest.raises(Unreadable, match="without a face"):
        place_drawing(np.asarray(page), photo, settings)


@pytest.mark.usefixtures("no_detector")
def test_a_drawing_of_its_own_is_placed_as_a_sketch_that_is_handed_to_a_model() -> None:
    photo = np.zeros((50, 50, 3), np.uint8)
    settings = {"size": 64, "align": "centre", "drawings": "own", "page": "auto"}
    corner = Image.new("L", (300, 200), 255)
    corner.paste(lines(120, 120), (170, 70))
    placed = place_drawing(np.asarray(corner), photo, settings)
    rows, columns = (np.nonzero(placed.max(axis) > 60)[0] for axis in (1, 0))
    assert abs((columns[0] + columns[-1]) / 2 - 31.5) < 2, "in the middle of the frame"
    assert rows[-1] - rows[0] > 40, "and as large as a head is there"
    negative = place_drawing(255 - np.asarray(corner), photo, settings)
    assert np.abs(negative.astype(int) - placed).mean() < 2, "light lines on a dark ground are lines, too"


def test_so_many_pairs_are_taken_at_even_distances(source: Path, tmp_path: Path) -> None:
    prepare_pairs(source, tmp_path / "out", **OPTIONS, validation_share=0.0)
    every, few = photo_pairs(tmp_path / "out"), photo_pairs(tmp_path / "out", count=3)
    assert few.names == every.names[::2]
    assert [int(few[k]["index"]) for k in range(3)] == [0, 1, 2]
    assert torch.equal(few[2]["photo"], every[4]["photo"])
    both = photo_pairs([tmp_path / "out", tmp_path / "out"], count=12)
    assert both.names == [*every.names, *every.names]
    for count in (0, 7, True):
        with pytest.raises(ValueError, match="count must be from 1 to the 6 pairs"):
            photo_pairs(tmp_path / "out", count=count)
    with pytest.raises(ValueError, match=r"pairs need items with 'artist'.*calisketch prepare-pairs"):
        PairedPhotos(PreparedPhotos(tmp_path / "out"))
    with pytest.raises(ValueError, match="calisketch prepare-pairs"):
        photo_pairs(tmp_path / "out", size=64)


def test_without_a_draw_training_and_validation_see_the_pairs_own_drawings() -> None:
    faces = ProceduralFaces(5, 32)
    pairs = PairedPhotos(faces, "contour")

    def drawn(*_: object, **__: object) -> Tensor:
        return torch.zeros(2, 1, 32, 32)

    options = {"batch_size": 2, "accumulate": 1, "seed": 0, "device": torch.device("cpu")}
    stream = TrainingBatches(pairs, None, **options).after(0)  # type: ignore[arg-type]
    for _ in range(3):
        (batch,) = next(stream)
        for k, index in enumerate(batch["index"].tolist()):
            assert torch.equal(batch["sketch"][k], faces[index]["contour"])
    stream.close()
    (first, *_) = validation_batches(pairs, None, batch_size=2, first_index=9, device=torch.device("cpu"))
    assert torch.equal(first["sketch"][1], faces[1]["contour"])
    (other,) = next(TrainingBatches(pairs, drawn, **options).after(0))  # type: ignore[arg-type]
    assert float(other["sketch"].max()) == 0.0, "a draw would have drawn others"


def test_the_command_prepares_and_says_what_is_missing(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("hydra")
    from calisketch.commands.prepare import pairs

    def run(*arguments: str) -> tuple[int, str]:
        status = pairs(["contour=none", "workers=0", "size=32", "align=false", *arguments])
        said = capsys.readouterr()
        return status, said.out + said.err

    status, said = run(f"source={source}", f"out={tmp_path / 'out'}")
    assert status == 0
    assert "8 made" in said
    status, said = run()
    assert status == 1
    assert "source must be given" in said
    status, said = run(f"source={source}", f"out={tmp_path / 'out'}", "drawings=own")
    assert status == 1
    assert "drawings: prepared with 'traced', now 'own'" in said
