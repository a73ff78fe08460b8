"""Model folders are read and written strictly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from calisketch import CaliSketch
from calisketch.weights import folder as model_folder
from calisketch.weights.folder import ModelFolderError


class Tiny(nn.Module):
    def __init__(self, width: int = 3):
        super().__init__()
        self.config = {"width": width}
        self.layer = nn.Conv2d(1, width, 3)
        self.register_buffer("count", torch.tensor(7))

    def forward(self, image: Tensor) -> Tensor:
        return self.layer(image)


CLASSES = {"Tiny": Tiny}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    return model_folder.save(tmp_path / "model", {"scn": Tiny(), "isn": Tiny(4)}, 64, {"name": "tiny", "of": [1, 2]})


def change_config(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def change_tensors(folder: Path, **changes: Tensor | None) -> None:
    path = folder / "model.safetensors"
    tensors = {**load_file(path), **{key.replace("__", "."): value for key, value in changes.items()}}
    save_file({key: value for key, value in tensors.items() if value is not None}, path)


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    network = Tiny(5)
    model_folder.save(tmp_path, {"scn": network}, 96, {"a": 1}, half=False)
    networks, config = model_folder.load(tmp_path, CLASSES)
    assert config["size"] == 96
    assert config["info"] == {"a": 1}
    assert not networks["scn"].training
    for key, value in network.state_dict().items():
        assert torch.equal(networks["scn"].state_dict()[key], value)


def test_weights_are_stored_in_half_and_read_in_single_precision(folder: Path) -> None:
    stored = load_file(folder / "model.safetensors")
    assert stored["scn.layer.weight"].dtype == torch.float16
    assert stored["scn.count"].dtype == torch.int64
    networks, _ = model_folder.load(folder, CLASSES)
    assert networks["scn"].layer.weight.dtype == torch.float32
    assert int(networks["scn"].count) == 7


def test_nothing_is_left_beside_the_two_files_and_saving_again_replaces_them(folder: Path) -> None:
    model_folder.save(folder, {"scn": Tiny(9)}, 32)
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]
    assert model_folder.load(folder, CLASSES)[0]["scn"].layer.out_channels == 9


def test_a_failed_save_leaves_the_old_model(folder: Path) -> None:
    before = (folder / "config.json").read_bytes(), (folder / "model.safetensors").read_bytes()
    with pytest.raises(TypeError):
        model_folder.save(folder, {"scn": Tiny()}, 32, {"bad": object()})
    huge = Tiny()
    nn.init.constant_(huge.layer.weight, 1e6)
    with pytest.raises(ValueError, match=r"scn\.layer\.weight.*half=False"):
        model_folder.save(folder, {"scn": huge}, 32)
    with pytest.raises(ValueError, match=r"no \.config"):
        model_folder.save(folder, {"scn": nn.Linear(1, 1)}, 32)
    assert before == ((folder / "config.json").read_bytes(), (folder / "model.safetensors").read_bytes())


def test_a_full_disk_leaves_the_old_model_and_says_so(small_disk: Path) -> None:
    folder = model_folder.save(small_disk / "model", {"scn": Tiny()}, 64)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(OSError, match=r"model\.safetensors cannot be written: .*No space left on device.*Make room"):
        model_folder.save(folder, {"scn": Tiny(500_000)}, 64)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_missing_a_foreign_and_a_misshaped_tensor_are_named(folder: Path) -> None:
    change_tensors(folder, scn__layer__bias=None, scn__extra=torch.ones(1), isn__layer__weight=torch.ones(4, 1, 5, 5))
    with pytest.raises(ModelFolderError) as caught:
        model_folder.load(folder, CLASSES)
    text = str(caught.value)
    assert "missing: scn.layer.bias" in text
    assert "foreign: scn.extra" in text
    assert "isn.layer.weight is (4, 1, 5, 5), expected (4, 1, 3, 3)" in text


def test_a_tensor_that_is_not_finite_is_named(folder: Path) -> None:
    change_tensors(folder, scn__layer__bias=torch.tensor([1.0, float("nan"), 0.0]))
    with pytest.raises(ModelFolderError, match=r"not finite: scn\.layer\.bias"):
        model_folder.load(folder, CLASSES)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": 3}, "Upgrade calisketch"),
        ({"format_version": None}, "format version None"),
        ({"format": "diffusers"}, "got format 'diffusers'"),
        ({"networks": {"scn": {"class": "Foreign", "arguments": {}}}}, "unknown class 'Foreign'.*Tiny"),
        ({"networks": {"scn": {"class": "Tiny", "arguments": {"depth": 3}}}}, "cannot be built"),
        ({"networks": {"scn": {"class": "Tiny"}}}, "incomplete"),
        ({"networks": None}, "incomplete"),
        ({"size": "large"}, "incomplete"),
        ({"size": True}, "incomplete"),
        ({"size": 10**6}, "size 1000000"),
        ({"format_version": True}, "format version True"),
        ({"format_version": 0}, "format version 0"),
        ({"info": ["a", "b"]}, "'info' that is a list"),
        ({"networks": {"scn": {"class": "Tiny", "arguments": {"width": -1}}}}, "cannot be built"),
    ],
)
def test_a_config_that_cannot_be_followed_is_refused(folder: Path, changes: dict[str, Any], message: str) -> None:
    change_config(folder, **changes)
    with pytest.raises(ModelFolderError, match=message):
        model_folder.load(folder, CLASSES)


def test_a_config_that_claims_a_giant_is_refused_before_it_takes_the_memory(folder: Path) -> None:
    giant = {"class": "Tiny", "arguments": {"width": 4096}}
    change_config(folder, networks={"scn": giant, "isn": {"class": "Tiny", "arguments": {"width": 4}}})
    with pytest.raises(ModelFolderError, match=r"mis-shaped: .*scn\.layer\.weight is \(3, 1, 3, 3\)"):
        model_folder.load(folder, CLASSES)


def test_a_tensor_of_another_kind_of_number_is_named(folder: Path) -> None:
    change_tensors(folder, scn__layer__bias=torch.ones(3, dtype=torch.int8))
    with pytest.raises(
        ModelFolderError, match=r"another kind: scn\.layer\.bias is torch\.int8, expected torch\.float32"
    ):
        model_folder.load(folder, CLASSES)


def test_json_nested_without_end_is_refused(folder: Path) -> None:
    (folder / "config.json").write_text("[" * 100_000)
    with pytest.raises(ModelFolderError, match="not JSON"):
        model_folder.load(folder, CLASSES)


def test_files_that_are_missing_or_broken_are_named(folder: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such model folder"):
        model_folder.load(folder / "nowhere", CLASSES)
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelFolderError, match="not a whole safetensors file"):
        model_folder.load(folder, CLASSES)
    (folder / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"has no model\.safetensors"):
        model_folder.load(folder, CLASSES)
    (folder / "config.json").write_text("[1, 2")
    with pytest.raises(ModelFolderError, match="not JSON"):
        model_folder.load(folder, CLASSES)
    (folder / "config.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"has no config\.json"):
        model_folder.load(folder, CLASSES)


def without_digests(folder: Path) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text())
    del config["sha256"]
    path.write_text(json.dumps(config))


def test_two_exchanged_tensors_of_one_shape_are_noticed(tmp_path: Path) -> None:
    torch.manual_seed(0)
    folder = model_folder.save(tmp_path, {"scn": Tiny(), "isn": Tiny()}, 64)
    tensors = load_file(folder / "model.safetensors")
    change_tensors(
        folder, scn__layer__weight=tensors["isn.layer.weight"], isn__layer__weight=tensors["scn.layer.weight"]
    )
    with pytest.raises(ModelFolderError, match="its SHA-256 is another"):
        model_folder.load(folder, CLASSES)


def test_a_changed_size_is_noticed_and_changed_notes_are_not(folder: Path) -> None:
    change_config(folder, info={"name": "renamed"})
    assert model_folder.load(folder, CLASSES)[1]["info"] == {"name": "renamed"}
    change_config(folder, size=128)
    with pytest.raises(ModelFolderError, match="was changed: 'size' or 'networks'"):
        model_folder.load(folder, CLASSES)


def test_a_folder_from_before_there_were_digests_is_read(folder: Path) -> None:
    before = model_folder.load(folder, CLASSES)[0]["scn"].state_dict()
    without_digests(folder)
    after = model_folder.load(folder, CLASSES)[0]["scn"].state_dict()
    assert all(torch.equal(value, after[key]) for key, value in before.items())


def test_weights_that_single_precision_cannot_hold_are_refused(folder: Path) -> None:
    change_tensors(folder, scn__layer__bias=torch.full((3,), 1e300, dtype=torch.float64))
    with pytest.raises(ModelFolderError, match=r"not finite: scn\.layer\.bias"):
        model_folder.load(folder, CLASSES)


def test_the_shipped_model_records_its_digests() -> None:
    folder = Path(model_folder.__file__).parents[1] / "models" / "cuhk-small-256"
    assert set(json.loads((folder / "config.json").read_text())["sha256"]) == {"model.safetensors", "networks"}


def test_a_model_says_its_size_and_networks_in_a_line() -> None:
    networks = {"scn": None, "isn": Tiny(1000)}
    assert model_folder.in_words("Model", 64, networks) == "Model(64 px, isn: Tiny of 0.01 M weights)"
    assert repr(CaliSketch.from_pretrained()).startswith("CaliSketch(256 px, scn: CoarseToFine of 2.7 M weights, isn: ")
