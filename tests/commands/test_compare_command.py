"""calisketch compare: every shipped comparison holds together, mistakes are named, and a small one runs for real."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import warm_start
from composing import composed
from PIL import Image

from calisketch import CaliSketch
from calisketch.commands import compare as compare_command
from calisketch.commands.train_config import conf_dir
from calisketch.datasets import PreparedPhotos, prepare_photos
from calisketch.evaluation.reports.report import HEADINGS
from calisketch.evaluation.running import people
from calisketch.evaluation.running.comparing import Claim, Entry
from calisketch.networks import EncoderDecoder, UNet
from calisketch.relatives.any_model import load_model
from calisketch.weights.folder import ModelFolderError, save

COMPARISONS = sorted(path.stem for path in (conf_dir() / "comparison").glob("*.yaml"))


class Nobody:
    """Stands for a model of any kind."""

    def from_batch(self, batch: dict[str, torch.Tensor], **options: object) -> torch.Tensor:
        return batch["photo"]


@pytest.mark.parametrize("name", COMPARISONS)
def test_every_comparison_holds_together(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people, "PreparedPhotos", lambda root, split: [])
    plain = composed("compare", "data.root=somewhere", f"comparison={name}")
    needed = [*(f"models.{key}=a" for key in plain.models), *(["people=here"] if "people" in plain else [])]
    cfg = composed("compare", "data.root=somewhere", f"comparison={name}", *needed)
    given = compare_command._checked(cfg)
    assert given["name"] == name
    models = dict.fromkeys(given["models"], Nobody())
    entries = {key: compare_command._entry(cfg, key, row, models) for key, row in given["rows"].items()}
    assert all(isinstance(entry, Entry) for entry in entries.values())
    used = {row["model"] for row in given["rows"].values() if "model" in row}
    assert used == set(given["models"]), "every model has a row"
    for claim in (Claim(**each) for each in given["claims"]):
        assert claim.better in entries
        rows = [entries[row] for row in (claim.better, claim.worse) if isinstance(row, str)]
        assert len(rows) == 2 or isinstance(claim.worse, float)
        own = set.intersection(*({*row.figures} for row in rows))
        assert claim.metric in {*given["metrics"], *own, "bpp"}
        assert claim.metric in own or claim.metric in HEADINGS


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six prepared test photos of 32 pixels, and two models of no training."""
    folder = tmp_path_factory.mktemp("compare")
    rng = np.random.default_rng(0)
    (folder / "raw" / "test").mkdir(parents=True)
    for number in range(6):
        small = Image.fromarray(rng.integers(0, 256, (5, 5, 3), dtype=np.uint8))
        small.resize((40, 40), Image.Resampling.BILINEAR).save(folder / "raw" / "test" / f"{number}.png")
    prepare_photos(folder / "raw", folder / "photos", size=32, align=False, contour="none", workers=0)
    torch.manual_seed(0)
    CaliSketch(None, EncoderDecoder(1, 3, width=4, blocks=1, head="tanh"), 32).save_pretrained(folder / "a")
    save(folder / "unknown", {"other": UNet(width=4, depth=5)}, 32)
    return folder


ROWS = [
    "++name=small",
    "++title=small",
    "metrics=[psnr]",
    "+rows.a={model:a,draw:{_target_:calisketch.sketching.SketchMixture}}",
    "+rows.b={model:a,note:twice,draw:{_target_:calisketch.sketching.SketchMixture,weights:{xdog:1}}}",
    "claims=[{says:better,better:a,worse:b,metric:psnr}]",
    "resamples=100",
]


def test_a_small_comparison_for_real(place: Path) -> None:
    command = ["-m", "calisketch", "compare", *ROWS]
    command += [f"+models.a='{place / 'a'}'", f"data.root='{place / 'photos'}'", f"out='{place / 'out'}'"]
    done = warm_start.run(command, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "| b (twice) |" in done.stdout
    report = json.loads((place / "out" / "small.json").read_text())
    assert report["protocol"]["N"] == 6
    assert report["protocol"]["models"]["a"]["sha256"]
    assert [row["name"] for row in report["tables"][0]["rows"]] == ["a", "b"]
    assert "psnr: " in report["tables"][1]["rows"][0]["note"]
    assert Image.open(place / "out" / "small-grid.png").size[0] > 2 * 32


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["rows={}"], "give a comparison, comparison=NAME; there are"),
        (["metrics=[beauty]"], "metrics must be some of"),
        (["+rows.c={model:nobody}"], "rows.c is of models.nobody; the models are ['a']"),
        (["+rows.c={note:nothing}"], "rows.c must have model or paint"),
        (["+rows.c={model:a,sketch:artist,draw:{_target_:builtins.dict}}"], "rows.c must have draw, or sketch=artist"),
        (["claims=[{says:x}]"], "a claim has"),
        (["claims=[{says:x,better:a,worse:z,metric:psnr}]"], "is about ['z']"),
        (["claims=[{says:x,better:a,worse:[b],metric:psnr}]"], "a claim's worse must be a row or a number; got ['b']"),
        (["data.limit=1"], "data.limit must be a whole number, at least 2"),
        (["split=tset"], "split must be one of train, validation, test; got 'tset'"),
        (["+rows.a.draw.wieghts=1"], "rows.a.draw"),
    ],
)
def test_mistakes_are_named(place: Path, overrides: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    base = ROWS[:3] if overrides == ["rows={}"] else ROWS
    given = [*base, f"+models.a='{place / 'a'}'", f"data.root='{place / 'photos'}'", f"out='{place / 'none'}'"]
    assert compare_command.main([*given, *overrides]) == 1
    assert said in capsys.readouterr().err
    assert not (place / "none").exists()


def test_of_fewer_photos_the_report_says_so_and_keeps_their_names(place: Path) -> None:
    names = PreparedPhotos(place / "photos", "test").names
    cfg = composed("compare", *ROWS, f"+models.a='{place / 'a'}'", f"data.root='{place / 'photos'}'", "data.limit=3")
    cfg.out = str(place / "fewer")
    report, _ = compare_command.run(cfg)
    assert (report.protocol["N"], report.protocol["photos"]) == (3, "photos, 3 photos of 32 px")
    assert list(report.names) == [names[0], names[2], names[4]]


def test_models_of_one_architecture_have_hashes_of_their_own(place: Path) -> None:
    told = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        model = CaliSketch(None, UNet(1, 3, 4, 5), 32, {"steps": {"a": 7}, "steps before": {"b": 5}})
        told.append(compare_command._told(model.save_pretrained(place / f"seed{seed}"), model))
    assert told[0]["sha256"].keys() == told[1]["sha256"].keys()
    assert told[0]["sha256"] != told[1]["sha256"]
    assert (told[0]["steps"], told[0]["steps before"]) == ({"a": 7}, {"b": 5})


def test_a_folder_of_no_known_model_is_refused(place: Path) -> None:
    assert isinstance(load_model(place / "a"), CaliSketch)
    with pytest.raises(ModelFolderError, match=r"holds the networks \['other'\]; expected one of"):
        load_model(place / "unknown")
    with pytest.raises(FileNotFoundError):
        load_model(place / "nowhere")
