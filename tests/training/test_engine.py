from __future__ import annotations

import math
import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from toy_stages import Photos, ToyStage, discriminator, draw, generator, stages

from calisketch.stage import Batch, Schedule, Stage
from calisketch.training import CheckpointError, Engine, Interrupted, NonFiniteLoss, OutOfMemory, ProcessLost
from calisketch.training.checkpoint import list_checkpoints, load_checkpoint, load_latest, save_checkpoint
from calisketch.training.logging import read_metrics
from calisketch.training.state import RunState

SETTINGS: dict[str, Any] = {
    "batch_size": 4,
    "seed": 3,
    "accelerator": "cpu",
    "log_every": 1,
    "validate_every": 2,
    "preview_every": 5,
    "checkpoint_every": 1,
    "preview_samples": 2,
    "quiet": True,
}


def fit(run_dir: Path, listed: list[ToyStage] | None = None, **options: Any) -> RunState:
    fitting = {key: options.pop(key) for key in ("only", "init_from", "after_stage") if key in options}
    engine = Engine(run_dir, **SETTINGS | options)
    listed = stages(draws_noise=True) if listed is None else listed
    return engine.fit(listed, Photos(10), Photos(5, seed=1), draw=draw, **fitting)


def stop_at(stage: ToyStage, call: int) -> None:
    """Lets the stage signal its own process in the given call of generator_losses."""
    terms, calls = stage.generator_losses, [0]

    def signalling(batch: Batch) -> Batch:
        calls[0] += 1
        if calls[0] == call:
            os.kill(os.getpid(), signal.SIGTERM)
        return terms(batch)

    stage.generator_losses = signalling  # type: ignore[method-assign]


def assert_equal(left: Any, right: Any, path: str = "") -> None:
    """Equal to the last bit, through nested containers."""
    assert type(left) is type(right), path
    if isinstance(left, torch.Tensor):
        assert torch.equal(left, right), path
    elif isinstance(left, dict):
        assert left.keys() == right.keys(), path
        for key in left:
            assert_equal(left[key], right[key], f"{path}/{key}")
    elif isinstance(left, list | tuple):
        assert len(left) == len(right), path
        for place, (a, b) in enumerate(zip(left, right, strict=True)):
            assert_equal(a, b, f"{path}/{place}")
    else:
        assert left == right, path


def timeless(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in record.items() if key != "images_per_second"} for record in records]


@pytest.mark.parametrize("stops", [[("scn", 4)], [("scn", 3), ("joint", 2)], [("joint", 1)]])
def test_interrupted_and_resumed_equals_uninterrupted_bit_for_bit(tmp_path: Path, stops: list[tuple[str, int]]):
    fit(tmp_path / "straight")
    run_dir = tmp_path / "interrupted"
    for attempt, (name, call) in enumerate(stops):
        listed = stages(seed=attempt, draws_noise=True)  # from the second on: other weights, another random state
        stop_at(next(stage for stage in listed if stage.name == name), call)
        with pytest.raises(Interrupted, match=r"SIGTERM after step \d of stage .*same command") as caught:
            fit(run_dir, listed)
        assert caught.value.number == signal.SIGTERM
    fit(run_dir, stages(seed=5, draws_noise=True))
    straight, resumed = load_latest(tmp_path / "straight" / "checkpoints"), load_latest(run_dir / "checkpoints")
    assert straight["total"] == 10
    assert_equal(straight, resumed)
    lines = [timeless(read_metrics(folder / "metrics.jsonl")) for folder in (tmp_path / "straight", run_dir)]
    assert lines[0] == lines[1]


def test_channels_last_weights_meet_their_own_moments_after_a_resume(tmp_path: Path):
    fit(tmp_path / "straight", channels_last=True)
    listed = stages(draws_noise=True)
    stop_at(listed[0], 4)
    with pytest.raises(Interrupted):
        fit(tmp_path / "interrupted", listed, channels_last=True)
    fit(tmp_path / "interrupted", stages(seed=5, draws_noise=True), channels_last=True)
    assert_equal(*(load_latest(tmp_path / name / "checkpoints") for name in ("straight", "interrupted")))


def test_a_killed_run_resumes_from_an_older_checkpoint_and_writes_no_line_twice(tmp_path: Path):
    fit(tmp_path / "straight", checkpoint_every=4)
    listed = stages(draws_noise=True)
    terms, calls = listed[0].generator_losses, [0]

    def dying(batch: Batch) -> Batch:
        calls[0] += 1
        if calls[0] == 6:
            raise KeyboardInterrupt  # stands for a kill: nothing is saved after it
        return terms(batch)

    listed[0].generator_losses = dying  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "killed", listed, checkpoint_every=4)
    assert read_metrics(tmp_path / "killed" / "metrics.jsonl")[-1]["total"] == 5
    assert load_latest(tmp_path / "killed" / "checkpoints")["total"] == 4
    fit(tmp_path / "killed", stages(seed=9, draws_noise=True), checkpoint_every=4)
    lines = [timeless(read_metrics(tmp_path / name / "metrics.jsonl")) for name in ("straight", "killed")]
    assert lines[0] == lines[1]
    assert [record["total"] for record in lines[1] if record["kind"] == "train"] == list(range(1, 11))


def test_training_does_not_depend_on_how_often_it_is_logged_validated_or_pictured(tmp_path: Path):
    fit(tmp_path / "often", preview_every=1, validate_every=1)
    fit(tmp_path / "seldom", log_every=1000, validate_every=1000, preview_every=1000, checkpoint_every=1000)
    often, seldom = (load_latest(tmp_path / name / "checkpoints") for name in ("often", "seldom"))
    for key in ("generators", "discriminators", "ema", "optimizers", "random"):
        assert_equal(often[key], seldom[key], key)


def test_stages_run_alone_equal_the_same_stages_in_turn_and_are_passed_over_later(tmp_path: Path):
    fit(tmp_path / "straight")
    calls = []
    for only in (["scn"], ["joint"], None):
        fit(tmp_path / "apart", stages(draws_noise=True), only=only, after_stage=lambda stage: calls.append(stage.name))
    straight, apart = (load_latest(tmp_path / name / "checkpoints") for name in ("straight", "apart"))
    assert_equal(straight, apart)
    assert calls == ["scn", "joint"]


def test_an_unfinished_stage_is_not_left_behind_in_silence(tmp_path: Path):
    listed = stages()
    stop_at(listed[0], 2)
    with pytest.raises(Interrupted):
        fit(tmp_path, listed)
    with pytest.raises(CheckpointError, match=r"within stage scn at step 2.*Add scn to stages"):
        fit(tmp_path, stages(), only=["joint"])


def two_networks(seed: int) -> list[Stage]:
    torch.manual_seed(seed)
    parts = {name: (generator(), discriminator()) for name in ("scn", "isn")}
    result: list[Stage] = []
    for name, (network, critic) in parts.items():
        stage = ToyStage(name, network, critic, Schedule(3, 1e-2))
        stage.generators, stage.discriminators = {name: network}, {name: critic}
        result.append(stage)
    return result


def test_weights_of_two_runs_are_taken_together(tmp_path: Path):
    fit(tmp_path / "a", two_networks(1), only=["scn"])  # type: ignore[arg-type]
    fit(tmp_path / "b", two_networks(2), only=["isn"])  # type: ignore[arg-type]
    a, b = (load_latest(tmp_path / name / "checkpoints") for name in ("a", "b"))
    for source in ([tmp_path / "a", tmp_path / "b"], {"scn": tmp_path / "a", "isn": tmp_path / "b"}):
        state = RunState(two_networks(3), ema_decay=0.9)
        state.init_from(source)
        assert state.trained == ["scn", "isn"]
        for name, kept in (("scn", a), ("isn", b)):
            assert_equal(dict(state.generators[name].state_dict()), dict(kept["generators"][name]))
            assert_equal(dict(state.discriminators[name].state_dict()), dict(kept["discriminators"][name]))
            assert_equal(state.averages[name].state_dict(), kept["ema"][name])
    with pytest.raises(CheckpointError, match=r"init_from.isn: .*trained networks \['scn'\] only"):
        RunState(two_networks(3), ema_decay=0.9).init_from({"isn": tmp_path / "a"})
    with pytest.raises(CheckpointError, match="no such network"):
        RunState(two_networks(3), ema_decay=0.9).init_from({"scm": tmp_path / "a"})


def test_a_run_of_other_networks_is_refused_by_name(tmp_path: Path):
    fit(tmp_path)
    torch.manual_seed(0)
    other = ToyStage("scn", generator(width=6), discriminator(), Schedule(6))
    with pytest.raises(CheckpointError, match="network 'scn'"):
        fit(tmp_path, [other])


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


def test_a_model_that_a_kill_prevented_is_saved_by_the_same_command(tmp_path: Path):
    def killed(stage: Stage) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path, only=["scn"], after_stage=killed)
    assert load_latest(tmp_path / "checkpoints")["completed"] == []
    called: list[str] = []
    fit(tmp_path, only=["scn"], after_stage=lambda stage: called.append(stage.name))
    assert called == ["scn"]


def test_a_stage_on_networks_that_nothing_has_trained_is_warned_of(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    fit(tmp_path / "joint", only=["joint"], quiet=False)
    assert "stage joint builds on scn, which stage scn has not trained here" in capfd.readouterr().err
    fit(tmp_path / "all", quiet=False)
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


def test_the_best_of_each_stage_is_kept_with_the_figure_it_was_chosen_by(tmp_path: Path):
    listed = stages(first=10)
    figures = iter([3.0, 1.0, 2.0, 2.0, 4.0])
    listed[0].plateau_figure = lambda b: torch.tensor(next(figures))  # type: ignore[method-assign]
    fit(tmp_path, listed, batch_size=5, only=["scn"], checkpoint_every=1)
    best = load_checkpoint(tmp_path / "checkpoints" / "best-scn.safetensors")
    assert (best["step"], best["plateau"]) == (4, {"best": 1.0, "since": 0})
    assert len(list_checkpoints(tmp_path / "checkpoints")) == 2


def test_what_changed_since_a_checkpoint_is_said(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    config = {"seed": 3, "system": {"width": 4}}
    engine = Engine(tmp_path, **SETTINGS, config=config)
    engine.fit(stages(), Photos(10), Photos(5, seed=1), draw=draw, only=["scn"])
    path = list_checkpoints(tmp_path / "checkpoints")[-1]
    state = load_checkpoint(path)
    save_checkpoint({**state, "versions": {**state["versions"], "torch": "2.1.0"}}, path.parent)
    engine = Engine(tmp_path, **SETTINGS | {"quiet": False}, config={"seed": 4, "system": {"width": 4}})
    engine.fit(stages(first=9), Photos(12), Photos(5, seed=1), draw=draw, only=["scn"])
    said = capfd.readouterr().err
    assert "changed since: seed: 3 -> 4" in said
    assert f"changed since: version.torch: 2.1.0 -> {torch.__version__}" in said
    assert "changed since: photos.train: 10 -> 12" in said
    assert "passed over. It ended after 6 steps, of now 9; to train it further, use another run_dir" in said
    torch.manual_seed(0)
    engine = Engine(tmp_path, **SETTINGS, config={"seed": 3, "system": {"width": 6}})
    with pytest.raises(CheckpointError, match=r"(?s)network 'scn'.*changed since: system\.width: 4 -> 6"):
        engine.fit([ToyStage("scn", generator(width=6), discriminator(), Schedule(6))], Photos(10), draw=draw)


def test_what_changed_is_said_also_where_no_configuration_is_given(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    fit(tmp_path, only=["scn"])
    fit(tmp_path, stages(second=5, draws_noise=True), seed=4, quiet=False)
    said = capfd.readouterr().err
    assert "changed since: seed: 3 -> 4" in said
    assert "changed since: schedules.joint.iterations: 4 -> 5" in said


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
