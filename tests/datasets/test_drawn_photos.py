"""Photos with drawings: both moved alike, what lies outside is told, and base drawings are kept whole or made anew."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader

from calisketch.datasets import BaseStore, DrawnPhotos, ProceduralFaces, drawn_photos
from calisketch.datasets.reading import base_store
from calisketch.datasets.reading.drawn_photos import STYLE_NAMES
from calisketch.networks import UNet
from calisketch.sketching import DRAWING_STYLES, DrawingMixture, LearnedStyle, base_drawings
from calisketch.weights import folder as model_folder

FACES = ProceduralFaces(3, 256)


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bases")


@pytest.fixture(scope="module")
def drawn(bases: Path) -> DrawnPhotos:
    return DrawnPhotos(FACES, bases, DrawingMixture(exaggerated=0.3, incomplete=0.3), variants=8, seed=4)


def aligned(drawn: DrawnPhotos, bases: Path) -> DrawnPhotos:
    return DrawnPhotos(FACES, bases, drawn.mixture, shift=0, scale=0, turn=0, variants=8, seed=4)


def through(frame: Tensor, image: Tensor) -> Tensor:
    return F.grid_sample(image[None], (2 * frame - 1).permute(1, 2, 0)[None], "bilinear", "zeros", align_corners=False)[
        0
    ]


def test_photo_line_maps_and_drawing_are_moved_alike(drawn: DrawnPhotos, bases: Path) -> None:
    still = aligned(drawn, bases)
    for index in (5, 13, 20):
        item, plain, inside = drawn[index], still[index], drawn[index]["inside"] > 0
        for name in ("photo", "detail", "contour"):
            there = through(item["frame"], FACES[index % 3][name])
            core = (F.avg_pool2d(inside.float()[None], 5, 1, 2)[0] > 0.999).expand_as(there)
            assert float((item[name] - there).abs()[core].max()) < 0.04, name
        assert torch.equal(plain["photo"], FACES[index % 3]["photo"])
        # Ruled lines, grain and waver are of the sheet or drawn by chance; the strokes are the same strokes.
        there = through(item["frame"], plain["sketch"])
        assert float((item["sketch"] - there).abs().mean()) < 0.25 * float(plain["sketch"].mean()) + 0.002
        assert float(item["sketch"][~inside].sum()) == 0 or STYLE_NAMES[int(item["style"])] in ("chalk", "ruled_paper")


def test_the_movement_stays_within_its_bounds_and_uses_them(drawn: DrawnPhotos) -> None:
    many = DrawnPhotos(FACES, drawn.bases.folder, drawn.mixture, variants=200)
    shifts, scales, turns = [], [], []
    middle = np.full(2, 127.5)
    for place in range(400):
        movement = many.movement(place // 3, place % 3)
        assert movement is not None
        linear = movement[:, :2]
        shifts.append(np.linalg.solve(linear, movement[:, 2] + linear @ middle - middle))
        scales.append(1 / np.sqrt(np.linalg.det(linear)))
        turns.append(np.degrees(np.arctan2(linear[1, 0], linear[0, 0])))
    assert 11 < np.abs(shifts).max() <= 12
    assert 1.075 < max(scales) <= 1.08
    assert 0.92 <= min(scales) < 0.925
    assert 9.5 < np.abs(turns).max() <= 10


def test_inside_is_where_the_photo_is(drawn: DrawnPhotos) -> None:
    item = drawn[7]
    x, y = item["frame"]
    expected = (x >= 0) & (x <= 1) & (y >= 0) & (y <= 1)
    assert float((expected != (item["inside"][0] > 0)).float().mean()) < 1e-3
    assert 0.7 < float(item["inside"].mean()) < 1
    assert float(item["photo"].min()) >= 0
    assert float(item["photo"].max()) <= 1


def test_items_repeat_in_any_order_and_in_other_processes(drawn: DrawnPhotos) -> None:
    first = [drawn[index] for index in (0, 9, 17)]
    sent = multiprocessing.Queue()
    sent.put(drawn)
    received = sent.get(timeout=60)
    again = [received[index] for index in (17, 9, 0)][::-1]
    loader = DataLoader(torch.utils.data.Subset(drawn, [0, 9, 17]), batch_size=None, num_workers=1)
    for one, two, three in zip(first, again, loader, strict=True):
        for name, value in one.items():
            assert torch.equal(value, two[name]), name
            assert torch.equal(value, three[name]), name
    assert not torch.equal(first[0]["sketch"], drawn[3]["sketch"]), "another variant is another drawing"


def test_style_and_faults_are_those_decided(drawn: DrawnPhotos) -> None:
    assert tuple(DRAWING_STYLES) == STYLE_NAMES
    for index in range(8):
        decided, item = drawn.decisions(index), drawn[index]
        assert STYLE_NAMES[int(item["style"])] == decided["style"]
        assert int(item["faults"]) == decided["exaggerated"] + 2 * len(decided["missing"])


def test_a_base_is_made_once_kept_whole_and_made_anew_when_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo, store, made = FACES[0]["photo"], BaseStore(tmp_path / "bases"), []

    def counted(photo: Tensor) -> object:
        made.append(1)
        return base_drawings(photo)

    monkeypatch.setattr(base_store, "base_drawings", counted)
    first = store.base(photo)
    assert np.array_equal(first.tone, store.base(photo).tone)
    [path] = (tmp_path / "bases").rglob("*.npz")
    assert len(made) == 1
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", whole[:3000] + bytes([whole[3000] ^ 255]) + whole[3001:]):
        path.write_bytes(damaged)
        assert np.array_equal(store.base(photo).fdog, first.fdog)
    assert len(made) == 4
    assert [each.name for each in path.parent.iterdir()] == [path.name], "nothing is left aside"
    store.base(FACES[1]["photo"])
    assert len(list((tmp_path / "bases").rglob("*.npz"))) == 2


def test_a_learned_hand_draws_beside_the_base_and_another_hand_anew(tmp_path: Path) -> None:
    hands = []
    for seed in range(2):
        torch.manual_seed(seed)
        network = UNet(in_channels=3, out_channels=1, width=4, depth=5).eval()
        nn.init.normal_(network.output.weight, 0.0, 0.5)
        hands.append(model_folder.save(tmp_path / f"hand{seed}", {"sketcher": network}, 64, {}, half=False))
    photo = FACES[0]["photo"]
    stores = [BaseStore(tmp_path / "bases", LearnedStyle(hand)) for hand in hands]
    assert stores[0].base(photo, artist=False).artist is None
    drawings = [store.base(photo).artist for store in stores]
    assert drawings[0] is not None
    assert not np.array_equal(drawings[0], drawings[1])
    assert len(list((tmp_path / "bases").rglob("*.npz"))) == 3
    items = DrawnPhotos(FACES, tmp_path / "bases", DrawingMixture({"artist": 1}, artist=hands[0]), variants=1)
    assert STYLE_NAMES[int(items[0]["style"])] == "artist"
    assert float(items[0]["sketch"].max()) > 0


def test_a_mask_of_the_photo_s_own_stays(tmp_path: Path) -> None:
    class Masked:
        names, size = ("a",), 256

        def __len__(self) -> int:
            return 1

        def __getitem__(self, index: int) -> dict[str, Tensor]:
            mask = torch.ones(1, 256, 256)
            mask[:, :30] = 0
            return {"photo": FACES[0]["photo"], "inside": mask, "index": torch.tensor(index)}

    item = DrawnPhotos(Masked(), tmp_path, variants=1, shift=0, scale=0, turn=0)[0]
    assert float(item["inside"][:, :30].sum()) == 0
    assert float(item["inside"][:, 30:].min()) == 1


def test_settings_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    for settings, said in (
        ({"shift": 80}, "shift must be"),
        ({"scale": -1}, "scale must be"),
        ({"turn": 50}, "turn must"),
    ):
        with pytest.raises(ValueError, match=said):
            DrawnPhotos(FACES, tmp_path, **settings)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="needs bases"):
        drawn_photos(photos=FACES)
    with pytest.raises(ValueError, match="needs root"):
        drawn_photos()
