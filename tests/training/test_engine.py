from __future__ import annotations

import math
import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from torch import nn
from toy_runs import SETTINGS, assert_equal, fit
from toy_stages import Photos, ToyStage, draw, generator, stages

from calisketch.stage import Batch
from calisketch.training import CheckpointError, Engine, NonFiniteLoss, OutOfMemory, ProcessLost
from calisketch.training.checkpoint import list_checkpoints, load_checkpoint, load_latest
from calisketch.training.logging import read_metrics
from calisketch.training.state import RunState
from calisketch.training.validation import validation_figures


def test_training_does_not_depend_on_how_often_it_is_logged_validated_or_pictured(tmp_path: Path):
    fit(tmp_path / "often", preview_every=1, validate_every=1)
    fit(tmp_path / "seldom", log_every=1000, validate_every=1000, preview_every=1000, checkpoint_every=1000)
    often, seldom = (load_latest(tmp_path / name / "checkpoints") for name in ("often", "seldom"))
    for key in ("generators", "discriminators", "ema", "optimizers", "random"):
        assert_equal(often[key], seldom[key], key)


@pytest.mark.parametrize("precision", ["32-true", "16-mixed"])
def test_a_term_that_is_not_finite_stops_by_name_and_leaves_the_good_checkpoint(tmp_path: Path, precision: str):
    listed = stages()
    terms, calls = listed[0].generator_losses, [0]

    def breaking(batch: Batch) -> Batch:
        calls[0] += 1
        result = terms(batch)
        return {**result, "l1": result["l1"] * math.nan} if calls[0] == 4 else result

    listed[0].generator_losses = breaking  # type: ignore[method-assign]
    with pytest.raises(NonFiniteLoss, match="stage scn, step 4: not finite: generator l1 = nan"):
        fit(tmp_path, listed, precision=precision)
    kept = load_latest(tmp_path / "checkpoints")
    assert kept["step"] == 3
    assert all(torch.isfinite(value).all() for value in kept["generators"]["scn"].values())
    assert all(torch.isfinite(value).all() for value in listed[0].network.state_dict().values())


def test_a_discriminator_that_has_won_is_warned_of_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("calisketch.training.watch.LOW_FOR_STEPS", 2)
    listed = stages()
    terms = listed[0].discriminator_losses
    listed[0].discriminator_losses = lambda batch: {n: t * 1e-4 for n, t in terms(batch).items()}  # type: ignore
    with pytest.warns(UserWarning, match="stage scn: the loss of discriminator has been under 0.01 for 2") as caught:
        fit(tmp_path, listed, only=["scn"])
    assert sum("under 0.01" in str(warning.message) for warning in caught) == 1


def test_one_discriminator_that_has_won_is_noticed_beside_another_that_has_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("calisketch.training.watch.LOW_FOR_STEPS", 2)
    listed = stages()
    terms = listed[0].discriminator_losses

    def one_low(batch: Batch) -> Batch:
        term = sum(terms(batch).values())
        return {"one/won": term * 1e-4, "two/fair": term + 1}  # type: ignore[dict-item]

    listed[0].discriminator_losses = one_low  # type: ignore[method-assign]
    with pytest.warns(UserWarning, match="stage scn: the loss of discriminator one has been under") as caught:
        fit(tmp_path, listed, only=["scn"])
    assert not any("discriminator two" in str(warning.message) for warning in caught)


def test_a_stage_on_networks_that_nothing_has_trained_is_warned_of(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    fit(tmp_path / "joint", only=["joint"], quiet=False)
    assert "stage joint builds on scn, which stage scn has not trained here" in capfd.readouterr().err
    fit(tmp_path / "all", quiet=False)
    assert "builds on" not in capfd.readouterr().err
    fit(tmp_path / "from", only=["joint"], init_from=tmp_path / "all", quiet=False)
    assert "builds on" not in capfd.readouterr().err


def test_a_stage_that_looks_through_an_untrained_network_is_warned_of(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def looking() -> list[ToyStage]:
        first, last = stages()
        last.generators, last.builds_on = {"isn": last.network}, ("scn",)  # type: ignore[attr-defined]
        return [first, last]

    fit(tmp_path / "alone", looking(), only=["joint"], quiet=False)
    assert "stage joint builds on scn, which stage scn has not trained here" in capfd.readouterr().err
    fit(tmp_path / "all", looking(), quiet=False)
    assert "builds on" not in capfd.readouterr().err
    others = {"isn": tmp_path / "alone"}
    fit(tmp_path / "partly", looking(), only=["joint"], init_from=others, quiet=False)
    assert "builds on scn" in capfd.readouterr().err
    fit(tmp_path / "wholly", looking(), only=["joint"], init_from={**others, "scn": tmp_path / "all"}, quiet=False)
    assert "builds on" not in capfd.readouterr().err


def test_more_processes_than_cores_are_refused_before_any_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    launched: list[int] = []
    monkeypatch.setattr("calisketch.training.engine.Fabric.launch", lambda self: launched.append(1))
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    with pytest.raises(ValueError, match="devices must be at most 4, the number of processor cores here; got 5"):
        Engine(tmp_path, **SETTINGS | {"devices": 5})
    assert not launched


def test_a_plateau_ends_a_stage_after_its_patience(tmp_path: Path):
    listed = stages(first=40, patience=2)
    figures = iter([3.0, 2.0, 2.5, 2.0] + [9.0] * 40)
    listed[0].plateau_figure = lambda batch: torch.tensor(next(figures))  # type: ignore[method-assign]
    fit(tmp_path, listed, batch_size=5, only=["scn"])
    evaluations = [record for record in read_metrics(tmp_path / "metrics.jsonl") if record["kind"] == "validation"]
    assert [record["step"] for record in evaluations] == [2, 4, 6, 8]
    assert [record["since"] for record in evaluations] == [0, 0, 1, 2]
    assert load_latest(tmp_path / "checkpoints")["completed"] == ["scn"]


def test_a_validation_figure_that_is_no_number_ends_the_run(tmp_path: Path):
    listed = stages()
    listed[0].plateau_figure = lambda batch: torch.tensor(math.nan)  # type: ignore[method-assign]
    with pytest.raises(NonFiniteLoss, match="stage scn, step 2: the validation figure is nan"):
        fit(tmp_path, listed)


def test_figures_by_image_are_averaged_over_all_images_that_have_one(tmp_path: Path):
    """A batch without lines has no figure; it must neither end the run nor weigh as much as the others."""
    listed = stages()
    figures = iter([torch.tensor([0.2, math.nan, 0.4]), torch.tensor([math.nan]), torch.full((3,), math.nan)] * 40)
    listed[0].plateau_figures = lambda batch: next(figures)  # type: ignore[attr-defined]
    stage, state = listed[0], {}
    fabric, batch = Fabric(accelerator="cpu", devices=1), {"photo": torch.zeros(3)}
    assert validation_figures(fabric, stage, [batch] * 2, state) == {"plateau": pytest.approx(0.3)}
    nothing = validation_figures(fabric, stage, [batch], state)
    assert math.isnan(nothing["plateau"])


def test_a_stage_may_log_more_figures_than_its_plateaus(tmp_path: Path):
    listed = stages()
    listed[0].figures = lambda b: {"plateau": torch.tensor(0.5), "index": b["index"].float().mean()}  # type: ignore
    state = fit(tmp_path, listed)
    records = [record for record in read_metrics(tmp_path / "metrics.jsonl") if record["kind"] == "validation"]
    told = [record["figures"] for record in records if record["stage"] == "scn"]
    assert told
    assert all(list(figures) == ["index"] for figures in told)
    assert len({figures["index"] for figures in told}) == 1  # the mean over all validation samples, batch by batch
    assert state.plateau.best <= 0.5
    assert all("figures" not in record for record in records if record["stage"] != "scn")


def test_the_best_of_each_stage_is_kept_with_the_figure_it_was_chosen_by(tmp_path: Path):
    listed = stages(first=10)
    figures = iter([3.0, 1.0, 2.0, 2.0, 4.0])
    listed[0].plateau_figure = lambda b: torch.tensor(next(figures))  # type: ignore[method-assign]
    fit(tmp_path, listed, batch_size=5, only=["scn"], checkpoint_every=1)
    best = load_checkpoint(tmp_path / "checkpoints" / "best-scn.safetensors")
    assert (best["step"], best["plateau"]) == (4, {"best": 1.0, "since": 0})
    assert len(list_checkpoints(tmp_path / "checkpoints")) == 2


def test_no_more_validation_samples_are_judged_than_the_setting_says(tmp_path: Path):
    listed = stages()
    judged: list[int] = []
    figure = listed[0].plateau_figure
    listed[0].plateau_figure = lambda b: (judged.extend(b["index"].tolist()), figure(b))[1]  # type: ignore
    fit(tmp_path, listed, only=["scn"], validate_every=1000, validation_samples=2)
    assert judged == [10, 12]


def test_a_killed_data_loading_process_ends_the_run_with_a_word(tmp_path: Path):
    class Deadly(Photos):
        def __getitem__(self, place: int) -> Batch:
            if place == 7:
                os.kill(os.getpid(), signal.SIGKILL)
            return super().__getitem__(place)

    engine = Engine(tmp_path, **SETTINGS | {"workers": 1})
    with pytest.raises(ProcessLost, match=r"a data-loading process was lost: .*lower workers.*same command goes on"):
        engine.fit(stages(), Deadly(10), draw=draw)


def test_an_error_leaves_no_data_loading_process_that_python_would_wait_for_at_its_exit(tmp_path: Path):
    listed = stages()

    def wrong(batch: Batch) -> Batch:
        raise KeyError("a stage of one's own")

    listed[0].generator_losses = wrong  # type: ignore[method-assign]
    with pytest.raises(KeyError) as caught:
        fit(tmp_path, listed, workers=1)
    assert caught.tb is not None  # as Python itself holds on to what ended it
    assert multiprocessing.active_children() == []


def test_a_run_removes_what_kills_have_left_and_sees_to_room_before_its_first_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    half = tmp_path / "checkpoints" / ".tmpQ3kd0x"
    half.parent.mkdir()
    half.write_bytes(b"half")
    monkeypatch.setattr(RunState, "bytes_needed", lambda state: 10**15)
    with pytest.raises(CheckpointError, match="one checkpoint takes about 1000000000"):
        fit(tmp_path)
    assert list(half.parent.iterdir()) == []


def test_validation_pictures_and_models_use_the_averaged_weights(tmp_path: Path):
    listed = stages()
    seen: list[torch.Tensor] = []
    figure = listed[0].plateau_figure
    listed[0].plateau_figure = lambda b: (seen.append(listed[0].network[0].weight.detach().clone()), figure(b))[1]  # type: ignore
    state = fit(tmp_path, listed, only=["scn"], after_stage=lambda s: seen.append(s.network[0].weight.detach().clone()))
    average = state.averages["scn"].average["0.weight"]
    assert torch.equal(seen[-1], average)
    assert torch.equal(seen[-2], average)
    assert not torch.equal(listed[0].network[0].weight, average)
    assert {path.name for path in (tmp_path / "previews").iterdir()} == {"scn-0000005.png", "scn-0000006.png"}


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 2.00 GiB"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 2.00 GiB"),
        MemoryError("Unable to allocate 2.00 GiB for an array"),
    ],
)
def test_out_of_memory_names_the_settings_that_help(tmp_path: Path, error: Exception):
    listed = stages()

    def hungry(batch: Batch) -> Batch:
        raise error

    listed[0].generate = hungry  # type: ignore[method-assign]
    with pytest.raises(
        OutOfMemory, match=r"(?s)2\.00 GiB.*batch_size.*accumulate.*data\.size.*precision.*width.*keep_feat"
    ):
        fit(tmp_path, listed)


@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_mixed_precision_keeps_32_bit_weights_and_lowers_the_loss(tmp_path: Path, precision: str):
    state = fit(tmp_path, stages(first=12), precision=precision, channels_last=True)
    assert all(value.dtype == torch.float32 for value in state.generators["scn"].state_dict().values())
    records = [record for record in read_metrics(tmp_path / "metrics.jsonl") if record["kind"] == "train"]
    assert records[11]["generator"]["l1"] < records[0]["generator"]["l1"]
    assert bool(load_latest(tmp_path / "checkpoints")["scaler"]) == (precision == "16-mixed")


@pytest.mark.slow
def test_compiled_networks_keep_their_state_dict_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    compiled: list[nn.Module] = []
    monkeypatch.setattr(nn.Module, "compile", lambda module, **options: compiled.append(module))
    state = fit(tmp_path, compile=True)
    assert compiled == [state.generators["scn"], state.discriminators["scn"]]
    assert list(load_latest(tmp_path / "checkpoints")["generators"]["scn"]) == list(generator().state_dict())


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"precision": 17}, "precision must be one of"),
        ({"batch_size": 0}, "batch_size must be a whole number, at least 1; got 0"),
        ({"accumulate": 1.5}, "accumulate"),
        ({"checkpoint_every": True}, "checkpoint_every"),
        ({"ema_decay": 1.0}, "ema_decay"),
        ({"devices": 100_000}, "devices must be at most"),
        ({"workers": -1}, "workers"),
        ({"compile": "yes"}, "compile must be true or false"),
    ],
)
def test_a_wrong_setting_is_named_before_anything_is_made(tmp_path: Path, setting: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        Engine(tmp_path / "run", **setting)
    assert not (tmp_path / "run").exists()


def test_an_unknown_stage_is_answered_with_those_there_are(tmp_path: Path):
    with pytest.raises(ValueError, match=r"stages must be a list of some of \['scn', 'joint'\]; got \['scm'\]"):
        fit(tmp_path / "run", only=["scm"])
    assert list_checkpoints(tmp_path / "run" / "checkpoints") == []
    assert not (tmp_path / "run").exists()
