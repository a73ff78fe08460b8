"""The frozen test sketches: what the manifest says is what is drawn, and whatever differs is told."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from calisketch.datasets.drawn.procedural import ProceduralFaces
from calisketch.datasets.preparing.aligned import align_photo, resize
from calisketch.datasets.preparing.cuhk import read_split
from calisketch.evaluation import ChangedSketches, FrozenSketches, benchmark_sketches
from calisketch.evaluation.running.frozen import BENCHMARK_SEED, draw_frozen, freeze, general_drawings
from calisketch.sketching import DRAWING_STYLES, STYLES, DrawingMixture, SketchMixture
from calisketch.sketching import styles as styles_module
from calisketch.sketching.styles import Style, sample_seed

COUNT = 6


@pytest.fixture(scope="module")
def photo() -> Tensor:
    faces = ProceduralFaces(COUNT, size=48)
    return torch.stack([faces[k]["photo"] for k in range(COUNT)])


@pytest.fixture(scope="module")
def manifest(photo: Tensor) -> FrozenSketches:
    return freeze([f"p{k}" for k in range(COUNT)], {48: photo})


def checked(manifest: FrozenSketches, photo: Tensor, mixture: SketchMixture | None = None) -> str:
    mixture = mixture or SketchMixture()
    with pytest.raises(ChangedSketches) as caught:
        manifest.check(photo, draw_frozen(mixture, photo, BENCHMARK_SEED), mixture)
    return str(caught.value)


def test_the_committed_manifest_is_of_the_test_split_and_of_todays_mixture(root: Path) -> None:
    manifest = FrozenSketches.read(benchmark_sketches())
    test = [name for name, split in read_split(root / "data" / "cuhk_split.json").items() if split == "test"]
    assert list(manifest.sketches) == sorted(test)
    assert (len(test), manifest.seed, manifest.epoch, manifest.sizes) == (100, 2026, 0, (128, 256))
    decisions = SketchMixture().decisions(seed=2026, epoch=0, index=range(100))
    for index, (entry, decided) in enumerate(zip(manifest.sketches.values(), decisions, strict=True)):
        assert (entry["index"], entry["seed"], entry["style"]) == (index, sample_seed(2026, 0, index), decided["style"])
        for step in ("parameters", "simplify", "deform"):
            assert entry[step] == (None if decided[step] is None else pytest.approx(decided[step], rel=1e-5))
        assert all(len(entry[kind][size]) == 64 for kind in ("sha256", "photo_sha256") for size in ("128", "256"))


def test_the_committed_hashes_are_those_of_sketches_drawn_here(cuhk_root: Path) -> None:
    manifest, names = FrozenSketches.read(benchmark_sketches()), []
    photos, mixture = [], SketchMixture()
    for name in list(manifest.sketches)[:8]:
        pixels = np.asarray(Image.open(cuhk_root / "photos" / f"{name}.jpg").convert("RGB"))
        photos.append(torch.from_numpy(resize(pixels[25:225], 128).copy()).permute(2, 0, 1).float() / 255)
        names.append(name)
    few = FrozenSketches(2026, 0, {name: manifest.sketches[name] for name in names}, sizes=(128,))
    photo = torch.stack(photos)
    few.check(photo, draw_frozen(mixture, photo, 2026), mixture)
    assert {manifest.sketches[name]["style"] for name in names} >= {"xdog", "fdog"}


def test_sketches_as_they_were_frozen_pass_in_any_batch(manifest: FrozenSketches, photo: Tensor) -> None:
    mixture = SketchMixture()
    for batch in (1, 4, 100):
        manifest.check(photo, draw_frozen(mixture, photo, BENCHMARK_SEED, batch_size=batch), mixture)


def test_another_photo_is_told_from_another_drawing(
    manifest: FrozenSketches, photo: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = photo.clone()
    other[2] = photo[3]
    said = checked(manifest, other)
    assert "1 of 6 test sketches at 48 px are not the frozen ones: p2." in said
    assert "photos under 1" in said

    said = checked(manifest, photo, SketchMixture(ranges={"xdog": {"sigma": (3, 4)}, "fdog": {"sigma_c": (2, 3)}}))
    assert "styles or parameters changed" in said

    for name, style in list(STYLES.items()):
        inverted = Style(lambda photo, draw=style.draw, **given: 1 - draw(photo, **given), style.ranges, style.uniforms)
        monkeypatch.setitem(styles_module.STYLES, name, inverted)
    said = checked(manifest, photo)
    assert "6 of 6" in said
    assert "a style is drawn otherwise" in said
    assert "freeze_sketches.py" in said


def test_one_grey_level_in_one_pixel_is_noticed(manifest: FrozenSketches, photo: Tensor) -> None:
    mixture = SketchMixture()
    drawn = draw_frozen(mixture, photo, BENCHMARK_SEED)
    drawn[4, 0, 10, 10] += (1 if drawn[4, 0, 10, 10] < 0.5 else -1) / 255
    with pytest.raises(ChangedSketches, match=r"1 of 6 .*: p4\."):
        manifest.check(photo, drawn, mixture)


def test_what_is_not_covered_is_said_in_words(manifest: FrozenSketches) -> None:
    names = list(manifest.sketches)
    assert manifest.covers(names, 48, 2026) is None
    assert "not those of the frozen" in str(manifest.covers(names[:-1], 48, 2026))
    assert "not those of the frozen" in str(manifest.covers(names[::-1], 48, 2026))
    assert "seed 7" in str(manifest.covers(names, 48, 7))
    assert "64 px" in str(manifest.covers(names, 64, 2026))


def test_a_manifest_survives_its_file_and_a_damaged_one_is_refused(manifest: FrozenSketches, tmp_path: Path) -> None:
    path = manifest.write(tmp_path / "sketches.json")
    assert FrozenSketches.read(path) == manifest
    assert [each.name for each in tmp_path.iterdir()] == ["sketches.json"]
    for content in (
        "",
        "[]",
        '{"format": "other"}',
        json.dumps({"format": "calisketch-sketches", "format_version": 9}),
    ):
        path.write_text(content)
        with pytest.raises(ValueError, match=r"is no manifest of frozen sketches.*freeze_sketches"):
            FrozenSketches.read(path)
    with pytest.raises(FileNotFoundError):
        FrozenSketches.read(tmp_path / "none.json")


def test_decisions_are_what_is_drawn(photo: Tensor) -> None:
    mixture = SketchMixture({"xdog": 1, "photocopy": 1, "fdog": 1}, simplify=0, deform=0)
    drawn = mixture(photo, seed=3, epoch=1, index=range(COUNT))
    for k, decided in enumerate(mixture.decisions(seed=3, epoch=1, index=range(COUNT))):
        assert decided["simplify"] is None
        assert decided["deform"] is None
        by_hand = STYLES[decided["style"]].draw(photo[k : k + 1], **decided["parameters"])
        assert float((by_hand - drawn[k]).abs().max()) < 1e-3
    always = SketchMixture(simplify=1, deform=1).decisions(seed=3, epoch=1, index=[5])[0]
    assert set(always["deform"]) == set(mixture.ranges["deform"])
    assert set(always["simplify"]) == set(mixture.ranges["simplify"])


def test_double_precision_draws_the_same_but_for_rounding(photo: Tensor) -> None:
    mixture = SketchMixture()
    single = mixture(photo, seed=2026, epoch=0, index=range(COUNT))
    double = mixture(photo.double(), seed=2026, epoch=0, index=range(COUNT))
    assert (single.dtype, double.dtype) == (torch.float32, torch.float64)
    assert float((single - double).abs().mean()) < 1e-5


@pytest.mark.parametrize(("split", "seed"), [("validation", 2027), ("test", 2026)])
def test_the_manifests_of_general_photos_are_of_todays_drawing_mixture(split: str, seed: int) -> None:
    manifest = FrozenSketches.read(general_drawings(split))
    assert (len(manifest.sketches), manifest.seed, manifest.epoch, manifest.sizes) == (305, seed, 0, (256,))
    decisions = DrawingMixture().decisions(seed=seed, epoch=0, index=range(305))
    for index, (entry, decided) in enumerate(zip(manifest.sketches.values(), decisions, strict=True)):
        assert (entry["index"], entry["seed"]) == (index, sample_seed(seed, 0, index))
        assert {name: entry[name] for name in decided} == decided
        assert all(len(entry[kind]["256"]) == 64 for kind in ("sha256", "photo_sha256"))
    assert {entry["style"] for entry in manifest.sketches.values()} == {*DRAWING_STYLES} - {"artist"}


def test_the_frozen_drawings_of_general_photos_are_those_drawn_here(general_root: list[Path]) -> None:
    manifest, same = FrozenSketches.read(general_drawings("test")), 0
    chosen = list(manifest.sketches)[3::61]
    for name in chosen:
        [file] = [path for folder in general_root for path in folder.glob(f"test/{name.removeprefix('test--')}.*")]
        aligned = align_photo(np.asarray(Image.open(file).convert("RGB")), 256)
        assert aligned is not None
        photo, entry = torch.from_numpy(aligned[0]).permute(2, 0, 1)[None].float() / 255, manifest.sketches[name]
        if hashlib.sha256(aligned[0].tobytes()).hexdigest() != entry["photo_sha256"]["256"]:
            continue  # the detector's last digits differ on another processor, and the photo by a grey level
        drawn = draw_frozen(DrawingMixture(), photo, manifest.seed, first_index=entry["index"])
        digest = hashlib.sha256((drawn * 255).round().to(torch.uint8).numpy().tobytes()).hexdigest()
        assert digest == entry["sha256"]["256"], name
        same += 1
    assert same >= len(chosen) // 2, "the photos are not placed as the frozen ones were"
