"""recipe=cgan_faces: its comparisons hold together, from the models they are given to the claims they test."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from composing import build, composed
from omegaconf import DictConfig, OmegaConf

from calisketch.commands.train_config import conf_dir
from calisketch.datasets import ProceduralFaces
from calisketch.evaluation.measures.identity import FaceIdentity
from calisketch.evaluation.running import people

RECIPE = OmegaConf.load(conf_dir() / "recipe" / "cgan_faces.yaml")
TABLES = list(RECIPE.tables)


def of_table(name: str) -> DictConfig:
    table = RECIPE.tables[name]
    models = [f"models.{key}=somewhere" for key in table.models]
    more = ["people=here"] if "people" in str(table.get("set", "")) else []
    return composed("compare", f"comparison={table.comparison}", "data.root=somewhere", *models, *more)


@pytest.mark.parametrize("name", TABLES)
def test_a_tables_models_rows_and_claims_belong_together(name: str) -> None:
    config = of_table(name)
    assert config.name == RECIPE.tables[name].comparison
    assert set(config.models) == set(RECIPE.tables[name].models), "each model of the comparison, and no other"
    used = {row.model for row in config.rows.values() if "model" in row}
    assert used == set(config.models)
    assert set(RECIPE.tables[name].models.values()) <= set(RECIPE.runs)
    assert config.claims
    for claim in config.claims:
        assert {claim.better, claim.worse} <= set(config.rows)
        measured = {*config.metrics, *(config.rows[claim.better].get("figures") or {})}
        assert claim.metric in measured
        assert claim.metric in {*config.metrics, *(config.rows[claim.worse].get("figures") or {})}
    if any(row.get("sketch") == "artist" for row in config.rows.values()) or config.truth == "artist":
        assert config.track == "artist"


@pytest.mark.parametrize("name", TABLES)
def test_a_tables_sketches_can_be_drawn_and_its_figures_measured(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people, "PreparedPhotos", lambda root, split: ProceduralFaces(2, 64))
    plain = FaceIdentity(lambda images: images.reshape(len(images), -1), None)
    monkeypatch.setattr(FaceIdentity, "from_pretrained", lambda: plain)
    item = ProceduralFaces(1, 64)[0]
    photo = item["photo"][None]
    seen: list[str] = []
    for row in of_table(name).rows.values():
        kinds = {kind: row[kind] for kind in ("draw", "paint", "figures") if kind in row}
        if (spelled := OmegaConf.to_yaml(OmegaConf.create(kinds))) in seen:
            continue
        seen.append(spelled)
        batch = {"photo": photo, "artist": item["contour"][None], "sketch": item["contour"][None]}
        if "draw" in row:
            draw = build(row.draw)
            batch["sketch"] = draw(photo, seed=2026, epoch=0, index=[0])
            assert batch["sketch"].shape == (1, 1, 64, 64)
        made = photo
        if "paint" in row:
            made = (1 - build(row.paint)(batch)).expand(-1, 3, -1, -1)
        for figure in (row.get("figures") or {}).values():
            value = build(figure)(batch, made)
            assert value.shape == (1,)
            assert not torch.isnan(value).any()


def test_the_learned_style_is_that_of_the_recipes_own_sketcher(tmp_path: Path) -> None:
    recipe = composed("recipe", "recipe=cgan_faces", "data.cuhk=c", f"out={tmp_path}")
    for run in ("with_artist", "artist_tuned"):
        training = composed("train", *recipe.common, *recipe.runs[run].set)
        assert training.data.draw.learned == {"artist": f"{tmp_path}/sketcher/model"}
        assert training.data.draw.weights.artist > 0
    assert list(recipe.runs).index("sketcher") < list(recipe.runs).index("with_artist")
