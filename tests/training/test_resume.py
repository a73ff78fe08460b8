from __future__ import annotations

import signal
from pathlib import Path

import pytest
import torch
from toy_runs import SETTINGS, assert_equal, fit, stop_at, timeless
from toy_stages import Photos, ToyStage, discriminator, draw, generator, stages

from calisketch.stage import Batch, Schedule, Stage
from calisketch.training import CheckpointError, Engine, Interrupted
from calisketch.training.checkpoint import list_checkpoints, load_checkpoint, load_latest, save_checkpoint
from calisketch.training.logging import read_metrics
from calisketch.training.state import RunState


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


def test_a_model_that_a_kill_prevented_is_saved_by_the_same_command(tmp_path: Path):
    def killed(stage: Stage) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path, only=["scn"], after_stage=killed)
    assert load_latest(tmp_path / "checkpoints")["completed"] == []
    called: list[str] = []
    fit(tmp_path, only=["scn"], after_stage=lambda stage: called.append(stage.name))
    assert called == ["scn"]


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
