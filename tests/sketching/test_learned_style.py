"""A learned style: the network as the folder has it, one drawing a photo, and a mixture that else stays what it was."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from calisketch.networks import UNet
from calisketch.sketching import STYLES, LearnedStyle, SketchMixture, simplify
from calisketch.weights import folder as model_folder
from calisketch.weights.folder import ModelFolderError

SIDE = 64


def sketcher(seed: int = 0, **arguments: object) -> UNet:
    torch.manual_seed(seed)
    network = UNet(**{"in_channels": 3, "out_channels": 1, "width": 4, "depth": 5, **arguments})  # type: ignore[arg-type]
    nn.init.normal_(network.output.weight, 0.0, 0.5)  # so that a drawing has some range
    return network.eval()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("artist") / "model"
    return model_folder.save(path, {"sketcher": sketcher()}, SIDE, {"name": "hand"}, half=False)


def test_it_draws_what_the_network_draws_each_photo_alone(folder: Path, small_faces: Tensor) -> None:
    style = LearnedStyle(folder)
    assert (style.size, style.name) == (SIDE, "hand")
    drawn = style.draw(small_faces)
    with torch.no_grad():
        expected = torch.cat([sketcher()(photo[None]) for photo in small_faces])
    assert torch.equal(drawn, expected)
    assert float(drawn.std()) > 0.01
    assert torch.equal(style.draw(small_faces[2:3]), drawn[2:3]), "bit for bit, whoever its batch mates are"
    assert torch.equal(style(small_faces, seed=1, epoch=2, index=range(4)), drawn)
    assert torch.equal(style(small_faces, seed=9, epoch=8, index=[5, 6, 7, 8]), drawn), "there is no chance in it"


def test_other_sizes_precisions_and_grey_photos(folder: Path, small_faces: Tensor) -> None:
    style = LearnedStyle(folder)
    drawn = style.draw(small_faces)
    large = nn.functional.interpolate(small_faces, size=(96, 128), mode="bilinear", antialias=True)
    assert style.draw(large).shape == (4, 1, 96, 128)
    assert style.draw(small_faces[:, :1]).shape == (4, 1, SIDE, SIDE)
    double = style.draw(small_faces.double())
    assert double.dtype == torch.float64
    assert float((double - drawn).abs().max()) < 1e-4
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(style.draw(small_faces), drawn)
    with pytest.raises(ValueError, match="photo must lie in"):
        style.draw(3 * small_faces)


def test_it_travels_as_a_path_and_a_folder_that_is_written_anew_is_read_anew(
    tmp_path: Path, small_faces: Tensor
) -> None:
    path = model_folder.save(tmp_path / "model", {"sketcher": sketcher()}, SIDE, half=False)
    style = LearnedStyle(path)
    first = style.draw(small_faces)
    assert len(repr(vars(style))) < 1000  # what goes to another process: no network, though it has drawn
    assert torch.equal(copy.deepcopy(style).draw(small_faces), first)
    model_folder.save(path, {"sketcher": sketcher(1)}, SIDE, half=False)
    assert not torch.equal(style.draw(small_faces), first)


def test_a_mixture_draws_it_as_often_as_told_and_as_it_is(folder: Path, small_faces: Tensor) -> None:
    mixture = SketchMixture({"xdog": 1, "hand": 3}, simplify=0, deform=0, learned={"hand": folder})
    decided = mixture.decisions(seed=0, epoch=0, index=range(400))
    own = [each for each in decided if each["style"] == "hand"]
    assert len(own) / 400 == pytest.approx(0.75, abs=0.06)
    assert own[0]["parameters"] == {}
    drawn, learned = mixture(small_faces, seed=0, epoch=0, index=range(4)), LearnedStyle(folder).draw(small_faces)
    for k, each in enumerate(decided[:4]):
        assert torch.equal(drawn[k], learned[k]) == (each["style"] == "hand")
    alone = mixture.only("hand")(small_faces, seed=0, epoch=0, index=range(4))
    assert torch.equal(alone, learned)
    simplified = SketchMixture({"hand": 1}, simplify=1, deform=0, learned={"hand": folder})
    parameters = simplified.decisions(seed=0, epoch=0, index=[0])[0]["simplify"]
    torch.testing.assert_close(
        simplified(small_faces[:1], seed=0, epoch=0, index=[0]), simplify(learned[:1], **parameters)
    )
    even = SketchMixture(learned={"b": folder, "a": folder})
    assert even.names == (*STYLES, "a", "b")
    torch.testing.assert_close(even.cumulated, torch.arange(1, 7) / 6)


def test_without_a_share_it_changes_no_other_drawing_by_one_bit(folder: Path, small_faces: Tensor) -> None:
    plain = SketchMixture()
    beside = SketchMixture({**dict.fromkeys(STYLES, 0.25), "hand": 0.0}, learned={"hand": folder})
    seeds = {"seed": 7, "epoch": 2, "index": range(4)}
    assert plain.decisions(**seeds) == beside.decisions(**seeds)
    assert torch.equal(plain(small_faces, **seeds), beside(small_faces, **seeds))
    assert torch.equal(plain.only("fdog")(small_faces, **seeds), SketchMixture({"fdog": 1})(small_faces, **seeds))


def test_opening_it_leaves_the_global_random_numbers_alone(tmp_path: Path) -> None:
    """Or a run's first weights would depend on whether the folder was read before in the process."""
    path = model_folder.save(tmp_path / "model", {"sketcher": sketcher(2)}, SIDE)
    state = torch.get_rng_state()
    LearnedStyle(path)
    assert torch.equal(torch.get_rng_state(), state)


def test_wrong_settings_and_folders_are_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"learned styles must have names of their own; got \['xdog'\]"):
        SketchMixture(learned={"xdog": folder})
    with pytest.raises(ValueError, match=r"weights must give the learned styles \['hand'\] a share"):
        SketchMixture({"xdog": 1.0}, learned={"hand": folder})
    with pytest.raises(ValueError, match=r"unknown styles.*'hand'"):
        SketchMixture({"hand": 1.0})
    with pytest.raises(FileNotFoundError, match="no such model folder"):
        LearnedStyle(tmp_path / "nothing")
    painter = model_folder.save(tmp_path / "painter", {"isn": sketcher(in_channels=1, out_channels=3)}, SIDE)
    with pytest.raises(ModelFolderError, match=r"holds the networks \['isn'\]; expected 'sketcher' alone"):
        LearnedStyle(painter)
    odd = model_folder.save(tmp_path / "odd", {"sketcher": sketcher(in_channels=1)}, SIDE)
    with pytest.raises(
        ModelFolderError, match="is no photo-to-sketch model: network must map 3 channels to 1; got 1 to 1"
    ):
        LearnedStyle(odd)
