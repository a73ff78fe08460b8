"""tools/smooth_colours.py: a trained model with smooth colours and the weights it had."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest
import torch
from composing import composed

from calisketch import CaliSketch
from calisketch.networks import EncoderDecoder
from calisketch.networks.heads import SmoothChroma
from tools.add_colour import with_colours

TOOL = Path(__file__).resolve().parents[2] / "tools" / "smooth_colours.py"


def saved(folder: Path, head: str) -> Path:
    torch.manual_seed(0)
    networks = EncoderDecoder(1, 1, 4, 1), EncoderDecoder(1, 3, 4, 1, head=head)
    return CaliSketch(*networks, 32, {"name": "small"}).save_pretrained(folder)


def smooth(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", [TOOL.name, *map(str, arguments)])
    runpy.run_path(str(TOOL), run_name="__main__")


def test_the_colours_are_averaged_and_no_weight_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, generator: torch.Generator
) -> None:
    smooth(monkeypatch, saved(tmp_path / "small", "tanh"), tmp_path / "made", "--head", "tanh_chroma2")
    old, new = (CaliSketch.from_pretrained(tmp_path / name, precision="fp32") for name in ("small", "made"))
    assert new.info == {"name": "small", "colours": "smoothed by tanh_chroma2 after training"}
    sketch = {"sketch": torch.rand(2, 1, 32, 32, generator=generator)}
    torch.testing.assert_close(new.from_batch(sketch), SmoothChroma(2)(old.from_batch(sketch)))


def test_a_model_for_which_it_cannot_be_is_refused_and_nothing_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = saved(tmp_path / "small", "sigmoid")
    with pytest.raises(SystemExit, match="for the head 'sigmoid'; got 'tanh_chroma4'"):
        smooth(monkeypatch, model, tmp_path / "made")
    assert not (tmp_path / "made").exists()


def test_of_a_model_that_takes_colours_comes_one_that_takes_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, generator: torch.Generator
) -> None:
    small = CaliSketch.from_pretrained(saved(tmp_path / "small", "tanh"))
    wide = with_colours(small.isn_generator)
    torch.nn.init.normal_(wide.encoder0[0].weight)
    CaliSketch(small.scn_generator, wide, 32, {"name": "wide"}).save_pretrained(tmp_path / "wide")
    smooth(monkeypatch, tmp_path / "wide", tmp_path / "made", "--head", "tanh_chroma2", "--without-colours")
    old, new = (CaliSketch.from_pretrained(tmp_path / name, precision="fp32") for name in ("wide", "made"))
    assert (old.takes_colours, new.takes_colours) == (True, False)
    assert (new.info["name"], new.info["without"]) == ("made", "the colours that could be given")
    sketch = {"sketch": torch.rand(2, 1, 32, 32, generator=generator)}
    torch.testing.assert_close(new.from_batch(sketch), SmoothChroma(2)(old.from_batch(sketch)))
    with pytest.raises(SystemExit, match="taken from a ColourLed; got EncoderDecoder"):
        smooth(monkeypatch, tmp_path / "small", tmp_path / "other", "--without-colours")
    assert not (tmp_path / "other").exists()


def test_the_recipe_trains_what_the_tool_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(TOOL.parent))
    import recipe

    parts = dict(recipe.parts(composed("recipe", "recipe=smooth", "data.cuhk=photos", f"out={tmp_path}")))
    made = parts["smooth, before it"]
    assert "--without-colours" in made
    training = composed("train", *parts["smooth"][2:])
    assert training.init_from == made[-1]
    assert training.system.isn.generator.head == made[made.index("--head") + 1]
    assert training.system.isn.generator._target_.endswith(".EncoderDecoder")
    for table in ("cuhk_synthetic", "cuhk_artist"):
        chosen = "recipe=smooth", "data.cuhk=photos", f"out={tmp_path}", f"only=[{table}]"
        parts = dict(recipe.parts(composed("recipe", *chosen)))
        assert f"{training.run_dir}/checkpoints/best-joint.safetensors" in parts[f"{table}, before it"]
        assert any(parts[f"{table}, before it"][-1] in argument for argument in parts[table])
