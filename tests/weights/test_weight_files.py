"""Weights in several files: each small enough, all of them needed, and believed only as far as their hashes are."""

from __future__ import annotations

import json
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from calisketch.weights import files as weight_files
from calisketch.weights import folder as model_folder
from calisketch.weights.folder import ModelFolderError

FILES = [f"model-0000{number}-of-00003.safetensors" for number in (1, 2, 3)]
SECOND = FILES[1]
PART = "scn.layer.weight.part-1-of-2"


class Wide(nn.Module):
    """5,184 bytes of weights in float16, 4,608 of them in one tensor."""

    def __init__(self, width: int = 16):
        super().__init__()
        self.config = {"width": width}
        self.layer = nn.Conv2d(16, width, 3)
        self.last = nn.Conv2d(width, 16, 1)
        self.register_buffer("count", torch.tensor(7))

    def forward(self, image: Tensor) -> Tensor:
        return self.last(self.layer(image))


CLASSES = {"Wide": Wide}


def save(folder: Path, seed: int = 0, **options: Any) -> Path:
    torch.manual_seed(seed)
    return model_folder.save(folder, {"scn": Wide()}, 64, {"seed": seed}, **{"max_file_bytes": 3000, **options})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save(tmp_path / "model")


def load(folder: Path) -> nn.Module:
    return model_folder.load(folder, CLASSES)[0]["scn"]


def config_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "config.json").read_text())


def change_config(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    config = config_of(folder)
    change(config)
    (folder / "config.json").write_text(json.dumps(config))


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_several_files_hold_what_one_holds(folder: Path, tmp_path: Path) -> None:
    assert left(folder) == ["config.json", *FILES]
    config = config_of(folder)
    assert config["format_version"] == 2, "an older calisketch says that it must be upgraded"
    assert config["parts"] == {"scn.layer.weight": 2}
    assert config["bytes"] == {name: (folder / name).stat().st_size for name in FILES}
    one = save(tmp_path / "one", max_file_bytes=16_000_000)
    assert left(one) == ["config.json", "model.safetensors"]
    assert config_of(one)["format_version"] == 1, "an older calisketch reads it"
    expected = load(one).state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in load(folder).state_dict().items())
    stored = load_file(one / "model.safetensors")
    halves = [load_file(folder / FILES[0]), load_file(folder / FILES[1])]
    joined = torch.cat([half[f"scn.layer.weight.part-{number}-of-2"] for number, half in enumerate(halves, 1)])
    assert torch.equal(joined, stored["scn.layer.weight"])


@pytest.mark.parametrize("largest", [900, 1000, 1500, 3000, 5000, 10_000])
@pytest.mark.parametrize("half", [True, False])
def test_no_file_is_larger_than_was_asked_and_all_is_read_back(tmp_path: Path, largest: int, half: bool) -> None:
    save(tmp_path, max_file_bytes=largest, half=half)
    files = list(tmp_path.glob("*.safetensors"))
    assert max(path.stat().st_size for path in files) <= largest
    assert len(files) <= 1 + 2 * sum(path.stat().st_size for path in files) // (largest - 300)
    torch.manual_seed(0)
    expected = Wide()
    for key, value in load(tmp_path).state_dict().items():
        whole = expected.state_dict()[key]
        assert torch.equal(value, whole.half().to(whole.dtype) if half else whole)


def test_a_file_that_cannot_hold_a_row_is_refused_before_anything_is_written(folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(ValueError, match=r"too small for scn\.layer\.weight: got a tensor \(16, 16, 3, 3\).*Give \d+"):
        save(folder, 1, max_file_bytes=400)
    with pytest.raises(ValueError, match=r"would make \d+ files of weights, expected at most 1000"):
        weight_files.divide({f"t{number}": torch.zeros(100) for number in range(1200)}, 600)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_the_size_that_the_refusal_names_is_enough(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Give") as caught:
        save(tmp_path, max_file_bytes=400)
    least = int(str(caught.value).rpartition("Give ")[2].split()[0])
    with pytest.raises(ValueError, match="too small"):
        save(tmp_path, max_file_bytes=least - 1)
    load(save(tmp_path, max_file_bytes=least))


@pytest.mark.parametrize(("before", "after"), [(3000, 16_000_000), (16_000_000, 3000), (1000, 3000), (3000, 1000)])
def test_saving_again_leaves_no_file_of_the_former_model(tmp_path: Path, before: int, after: int) -> None:
    save(tmp_path, max_file_bytes=before)
    (tmp_path / "README.md").write_text("kept")
    (tmp_path / "other.safetensors").write_text("kept")
    save(tmp_path, 1, max_file_bytes=after)
    assert set(left(tmp_path)) == {"README.md", "other.safetensors", "config.json", *config_of(tmp_path)["bytes"]}
    assert model_folder.load(tmp_path, CLASSES)[1]["info"] == {"seed": 1}


@pytest.mark.parametrize("after", [3000, 2000, 16_000_000])
def test_a_save_that_ends_at_any_step_leaves_the_old_model_the_new_one_or_a_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    rename, unlink, done = os.replace, Path.unlink, [0]

    class Killed(BaseException):
        pass

    def counted(act: Callable[..., Any]) -> Callable[..., Any]:
        def step(*arguments: Any, **options: Any) -> Any:
            done[0] -= 1
            if done[0] < 0:
                raise Killed
            return act(*arguments, **options)

        return step

    outcomes = []
    for survived in range(30):
        folder = tmp_path / str(survived)
        save(folder)
        monkeypatch.setattr(os, "replace", counted(rename))
        monkeypatch.setattr(Path, "unlink", counted(unlink))
        done[0] = survived
        try:
            save(folder, 1, max_file_bytes=after)
        except Killed:
            pass
        else:
            break
        finally:
            monkeypatch.undo()
        try:
            outcomes.append(model_folder.load(folder, CLASSES)[1]["info"]["seed"])
        except ModelFolderError:
            outcomes.append("refused")
    assert outcomes[0] == 0
    assert outcomes == sorted(outcomes, key=[0, "refused", 1].index), "first the old one, at the end the new one"
    if after != 3000:  # no name is used twice
        assert "refused" not in outcomes
        assert outcomes[-1] == 1


@pytest.mark.parametrize("small_disk", ["16k"], indirect=True)
def test_a_full_disk_leaves_the_old_model_and_nothing_else(small_disk: Path) -> None:
    folder = save(small_disk / "model", half=True, max_file_bytes=16_000_000)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(OSError, match=r"model-0000\d-of-0000\d\.safetensors cannot be written: .*Make room"):
        save(folder, 1, half=False, max_file_bytes=8000)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def swap(folder: Path) -> None:
    contents = [(folder / name).read_bytes() for name in FILES]
    (folder / FILES[0]).write_bytes(contents[1])
    (folder / FILES[1]).write_bytes(contents[0])


def flip(folder: Path) -> None:
    data = bytearray((folder / SECOND).read_bytes())
    data[-5] ^= 1
    (folder / SECOND).write_bytes(data)


def with_tensors(**changes: Tensor | None) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        tensors = {**load_file(folder / SECOND), **changes}
        save_file({key: value for key, value in tensors.items() if value is not None}, folder / SECOND)

    return change


def with_lying_header(folder: Path) -> None:
    whole = (folder / SECOND).read_bytes()
    (folder / SECOND).write_bytes(struct.pack("<Q", 2**40) + whole[8:])


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / SECOND).unlink(), f"has no {SECOND}"),
        (lambda folder: (folder / SECOND).write_bytes((folder / SECOND).read_bytes()[:-1]), "not a whole safetensors"),
        (lambda folder: (folder / SECOND).write_bytes(b""), "not a whole safetensors"),
        (with_lying_header, "claims 1099511627776 bytes"),
        (lambda folder: os.truncate(folder / SECOND, 2**36), "larger than 8 GiB"),
        (swap, "SHA-256 is another|size is another"),
        (flip, rf"{SECOND} is not the file that was saved with config\.json"),
        (
            lambda folder: shutil.copyfile(folder / FILES[0], folder / SECOND),
            f"{SECOND} holds .* another file holds too",
        ),
        (with_tensors(**{"scn.foreign": torch.ones(2)}), r"foreign: scn\.foreign"),
        (with_tensors(**{"scn.layer.weight.part-2-of-2": None}), r"not in the parts that .* says: scn\.layer\.weight"),
        (
            with_tensors(**{"scn.layer.weight.part-2-of-2": torch.zeros(7, 16, 3, 3).half()}),
            r"not in the parts that .* says: scn\.layer\.weight",
        ),
        (
            with_tensors(**{"scn.layer.weight.part-2-of-2": torch.zeros(8, 16, 3, 3)}),
            r"not in the parts that .* says: scn\.layer\.weight",
        ),
        (with_tensors(**{"scn.layer.weight.part-2-of-2": torch.full((8, 16, 3, 3), torch.nan).half()}), "not finite"),
        (with_tensors(**{"scn.layer.weight.part-2-of-2": torch.zeros(8, 16, 3, 3).half()}), "is another"),
    ],
)
def test_files_that_are_missing_damaged_exchanged_or_of_another_model_are_refused(
    folder: Path, damage: Callable[[Path], Any], said: str
) -> None:
    damage(folder)
    with pytest.raises((ModelFolderError, FileNotFoundError), match=said):
        load(folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c["sha256"].pop(SECOND),
        lambda c: c["bytes"].pop(SECOND),
        lambda c: c["sha256"].pop("networks"),
        lambda c: c["sha256"].update({SECOND: "0" * 64}),
        lambda c: c["sha256"].update({SECOND: "0"}),
        lambda c: c["sha256"].update({"../model-00004-of-00003.safetensors": "0" * 64}),
        lambda c: c["sha256"].update({"model.safetensors": "0" * 64}),
        lambda c: c["bytes"].update({SECOND: c["bytes"][SECOND] + 1}),
        lambda c: c["bytes"].update({SECOND: -1}),
        lambda c: c["bytes"].update({SECOND: 2**40}),
        lambda c: c["bytes"].update({SECOND: True}),
        lambda c: c["bytes"].update({SECOND: 10.0}),
        lambda c: c.update(bytes=[1, 2, 3]),
        lambda c: c.update(sha256={}),
        lambda c: c.update(sha256=None),
        lambda c: c.update(parts=None),
        lambda c: c.update(parts={}),
        lambda c: c.update(parts={"scn.layer.weight": 3}),
        lambda c: c.update(parts={"scn.layer.weight": 1}),
        lambda c: c.update(parts={"scn.layer.weight": 10**30}),
        lambda c: c.update(parts={"scn.layer.weight": 900_000}),
        lambda c: c["parts"].update({"scn.count": 2}),
        lambda c: c["parts"].update({"scn.last.weight": 2}),
        lambda c: c["parts"].update({"foreign": 2}),
        lambda c: c.update(format_version=1),
    ],
)
def test_a_config_that_does_not_describe_its_files_is_refused(
    folder: Path, change: Callable[[dict[str, Any]], Any]
) -> None:
    change_config(folder, change)
    with pytest.raises((ModelFolderError, FileNotFoundError)):
        load(folder)


def test_a_shipped_model_is_small_enough_for_the_package_and_any_host() -> None:
    shipped = list((Path(model_folder.__file__).parents[1] / "models").glob("*/config.json"))
    assert shipped
    for config in shipped:
        sizes = [path.stat().st_size for path in config.parent.iterdir()]
        assert max(sizes) <= weight_files.LARGEST_FILE
        assert sum(sizes) <= 12e6, config.parent.name
