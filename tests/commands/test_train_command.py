"""The command as a person runs it: from the override to the exit status."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
import torch
import warm_start

from calisketch import CaliSketch
from calisketch.commands import train as train_command
from calisketch.isn import ISN
from calisketch.networks import UNet
from calisketch.stage import Batch
from calisketch.training.checkpoint import list_checkpoints, load_checkpoint, load_latest
from calisketch.training.logging import read_metrics

pytestmark = pytest.mark.usefixtures("elsewhere")

SMALL = [
    "experiment=smoke/cali_sketch",
    "debug=few_steps",
    "threads=1",
    "data.size=32",
    "data.stand_in.train.count=4",
    "data.stand_in.validation.count=2",
    "batch_size=2",
    "system.scn.generator.width=4",
    "system.isn.generator.width=4",
    "system.scn.generator.blocks=1",
    "system.isn.generator.blocks=1",
    "system.scn.discriminator.width=4",
    "system.isn.discriminator.width=4",
    "system.isn.vgg.width=2",
]


def test_all_stages_run_and_leave_a_model_pictures_and_figures_and_nothing_else(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    half = tmp_path / "runs" / "few_steps" / "model" / ".tmpQ3kd0x"  # as a kill in the middle of saving leaves it
    half.parent.mkdir(parents=True)
    half.write_bytes(b"half")
    before = torch.get_rng_state()
    assert train_command.main(SMALL) == 0
    torch.set_rng_state(before)
    assert {path.name for path in half.parent.iterdir()} == {"config.json", "model.safetensors"}
    said = capfd.readouterr().err
    assert "procedural faces, since data.root is null" in said
    assert "4 training and 2 validation photos of 32 px" in said
    assert "generator scn: EncoderDecoder" in said
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]
    run_dir = tmp_path / "runs" / "few_steps"
    assert {path.name for path in run_dir.iterdir()} == {"checkpoints", "metrics.jsonl", "model", "previews"}
    records = read_metrics(run_dir / "metrics.jsonl")
    assert [record["stage"] for record in records if record["kind"] == "train"] == ["scn"] * 3 + ["isn"] * 3 + [
        "joint"
    ] * 3
    joint = [record for record in records if record["kind"] == "train"][-1]
    assert {"scn/contour", "scn/detail", "scn/adversarial", "isn/l1", "isn/style"} <= set(joint["generator"])
    assert {"scn/real", "scn/fake", "isn/real", "isn/fake"} == set(joint["scores"])
    assert set(joint["gradient_norm"]) == {
        "scn/generator", "isn/generator", "scn/discriminator", "isn/discriminator"
    }  # fmt: skip
    state = load_latest(run_dir / "checkpoints")
    assert state["completed"] == ["scn", "isn", "joint"]
    model = CaliSketch.from_pretrained(run_dir / "model")
    average = state["ema"]["isn"]["average"]["output.weight"]
    saved = model.isn_generator.state_dict()["output.weight"].cpu()
    torch.testing.assert_close(saved, average, rtol=1e-3, atol=1e-3)

    assert train_command.main(SMALL) == 0  # again: everything is passed over
    assert capfd.readouterr().err.count("passed over") == 3


def test_a_stages_best_state_becomes_a_model_folder(tmp_path: Path):
    assert train_command.main([*SMALL, "stages=[isn]", "run_dir=run"]) == 0
    script = Path(train_command.__file__).resolve().parents[2] / "tools" / "save_model.py"
    best = tmp_path / "run" / "checkpoints" / "best-isn.safetensors"
    done = warm_start.run([str(script), str(best), "out"], cwd=tmp_path, timeout=300)
    assert done.returncode == 0, done.stderr
    model = CaliSketch.from_pretrained(tmp_path / "out")
    average = load_checkpoint(best)["ema"]["isn"]["average"]["output.weight"]
    torch.testing.assert_close(model.isn_generator.state_dict()["output.weight"], average, rtol=1e-3, atol=1e-3)
    done = warm_start.run([str(script), "nowhere", "out"], cwd=tmp_path, timeout=300)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")


def test_joint_starts_from_two_runs_weights(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    assert train_command.main([*SMALL, "stages=[scn]", "run_dir=a"]) == 0
    assert train_command.main([*SMALL, "stages=isn", "run_dir=b", "seed=1"]) == 0
    assert train_command.main([*SMALL, "stages=[joint]", "run_dir=c", "init_from.scn=a", "init_from.isn=b"]) == 0
    said = capfd.readouterr().err
    assert "scn: weights from a/checkpoints/step-00000003-scn.safetensors" in said
    assert "isn: weights from b/checkpoints/step-00000003-isn.safetensors" in said
    assert train_command.main([*SMALL, "stages=[joint]", "run_dir=d", "init_from=c"]) == 0
    assert capfd.readouterr().err.count("weights from c/") == 2


def test_mirrored_photos_are_the_chosen_ones_and_are_not_counted_twice(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    few = ["stages=[scn]", "data.limit=3", "data.mirrored=true"]
    assert train_command.main([*SMALL, *few, "run_dir=a"]) == 0
    assert "3 training, mirrored too, and 2 validation photos" in capfd.readouterr().err
    state = load_latest(tmp_path / "a" / "checkpoints")
    assert state is not None
    assert state["data"]["train"] == 6
    info = CaliSketch.from_pretrained("a/model").info
    assert (info["photos"], info["mirrored"]) == (3, True)


def test_steps_of_an_ancestor_that_two_networks_share_are_counted_once(tmp_path: Path):
    def saved(name: str, steps: dict[str, int], source: object = None) -> str:
        info = {"steps": steps, **train_command._steps_before(source)}
        return str(CaliSketch(None, UNet(1, 3, 4, 5), 32, info).save_pretrained(tmp_path / name))

    scn = saved("scn", {"scn": 36})
    isn = saved("isn", {"isn": 48}, scn)
    assert train_command._steps_before({"scn": scn, "isn": isn})["steps before"] == {"scn": 36, "isn": 48}
    other = saved("other", {"scn": 10, "isn": 20, "joint": 5})
    general = saved("general", {"joint": 7}, {"scn": scn, "isn": isn})
    apart = train_command._steps_before({"scn": other, "isn": general})
    assert apart["steps before"] == {"scn": 46, "isn": 68, "joint": 12}
    assert len(apart["made from"]) == 4
    older = CaliSketch(None, UNet(1, 3, 4, 5), 32, {"steps": {"joint": 10}, "steps before": {"joint": 5}})
    assert train_command._steps_before(older.save_pretrained(tmp_path / "older"))["steps before"] == {"joint": 15}
    assert train_command._steps_before(None) == {}


def test_training_starts_from_a_model_folder(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    assert train_command.main([*SMALL, "run_dir=a"]) == 0
    few = "system.schedules.joint.learning_rate=1e-12"  # so small that the weights stay those they started from
    assert train_command.main([*SMALL, few, "stages=[joint]", "run_dir=b", "init_from=a/model"]) == 0
    said = capfd.readouterr().err
    assert "scn: weights from a/model" in said
    assert "isn: weights from a/model" in said
    assert "builds on" not in said
    state = load_latest(tmp_path / "b" / "checkpoints")
    assert state is not None
    for name, network in (("scn", "scn_generator"), ("isn", "isn_generator")):
        started = getattr(CaliSketch.from_pretrained("a/model"), network).state_dict()
        torch.testing.assert_close(dict(state["generators"][name]), dict(started), rtol=0, atol=1e-6)
        torch.testing.assert_close(dict(state["ema"][name]["average"]), dict(started), rtol=0, atol=1e-6)
        assert state["ema"][name]["updates"] > 1000  # no warm-up, in which the average would drop what it came with
    other = [*SMALL, "system.isn.generator.width=8", "stages=[joint]", "run_dir=c", "init_from=a/model"]
    assert train_command.main(other) == 1
    said = capfd.readouterr().err
    assert "network 'isn' of a/model is not the one configured here (width: 4 -> 8)" in said
    same_shapes = [*SMALL, "system.isn.generator.dilation=3", "stages=[joint]", "run_dir=c", "init_from=a/model"]
    assert train_command.main(same_shapes) == 1
    assert "(dilation: 2 -> 3)" in capfd.readouterr().err
    alone = ["stages=[isn]", "system.synthesis_input=refined", "run_dir=e", "init_from.scn=a/model"]
    assert train_command.main([*SMALL, "system.isn.generator.width=8", *alone]) == 0  # its ISN was not asked for
    assert "scn: weights from a/model" in capfd.readouterr().err
    (tmp_path / "a" / "model" / "model.safetensors").write_bytes(b"")
    assert train_command.main([*SMALL, "stages=[joint]", "run_dir=d", "init_from.scn=a/model"]) == 1
    assert "CheckpointError: init_from: " in capfd.readouterr().err
    assert not (tmp_path / "d").exists()


WRONG = {
    "+trian.foo=1": "unknown key 'trian'",
    "+data.foo=1": "unknown key 'data.foo'",
    "+wandb.foo=1": "unknown key 'wandb.foo'",
    "precision=17": "precision must be one of",
    "precision=8": "precision must be one of",
    "system.schedules.scn.iterations=-3": "system.schedules.scn: iterations must be a whole number",
    "system.schedules.joint.learning_rate=0": "system.schedules.joint: learning_rate must be above 0",
    "stages=[scm]": "stages must be a list of some of ['scn', 'isn', 'joint']; got ['scm']",
    "stages=[]": "stages must be",
    "batch_size=0": "batch_size must be a whole number, at least 1; got 0",
    "batch_size=many": "batch_size must be",
    "log_every=0": "log_every",
    "ema_decay=1.5": "ema_decay must lie in [0, 1); got 1.5",
    "threads=0": "threads must be",
    "wandb.mode=sometimes": "wandb.mode must be one of",
    "data.size=66": "data.size must be at least 32 and divide by 4 for scn; got 66",
    "stages=5": "stages must be a list",
    "data.size=null": "data.size must be",
    "data.size=large": "data.size must be",
    "data.limit=0": "data.limit must be",
    "data.draw.simplify=2": "simplify must be a probability",
    "data.draw.weights.xdog=-1": "data.draw: weights must be non-negative",
    "system.flow=half": "system: flow must be one of",
    "system.scn.calibration_weight=much": "system.scn.calibration_weight must be float; got 'much'",
    "system.scn.calibration_weight=-1": "system.scn: calibration_weight must be at least 0",
    "system.scn.contour=3": "system.scn.contour must be bool; got 3",
    "+system.scn.foo=1": "system.scn: SCN.__init__() got an unexpected keyword argument 'foo'",
    "system.isn.generator.width=0": "system.isn.generator: in_channels, out_channels, width",
    "init_from.scn=nowhere": "init_from: no checkpoint in nowhere",
    "data.root=nowhere": "nowhere",
    "accelerator=abacus": "abacus",
    "run_dir=null": "run_dir must be a folder's path; got None",
    "name=null": "name must be given; got null",
    "wandb=null": "wandb must be a group of settings; got null",
    "data.draw=null": "data.draw must be a group of settings; got null",
    "system.schedules=null": "system.schedules must be a group of settings; got null",
    "system.isn=null": "system.isn must be a group of settings; got null",
    "init_from=5": "init_from must be a run or model folder, or one for each network; got 5",
    "ema_decay=null": "ema_decay must lie in [0, 1); got None",
    "system.schedules.scn.betas=[a,b]": "system.schedules.scn: betas must be two numbers in [0, 1)",
    "precision=bf16-mixed": "data.size must be at least 64 for precision=bf16-mixed on a CPU; got 32",
    "+data.train.foo=1": "data.train: calisketch.datasets.prepared_photos: got an unexpected keyword argument",
    "data=null": "data=null: a group is chosen by the name of one of its files",
    "~wandb": "wandb must be given",
    "system.schedules.scn=5": "system.schedules.scn must be a group of settings; got 5",
    "system.scn.discriminator.in_channels=3": "system.scn.discriminator does not take (2, 1, 32, 32)",
    "system.isn.generator.out_channels=1": "system.isn.generator must make 3 channels; got 1",
    "system.scn.generator.skips=no": "system.scn.generator.skips must be bool; got 'no'",
    "batch_size=99999999999999999999": "batch_size must be at most 65536",
    "data.draw.weights.xdog=inf": "data.draw.weights.xdog must be a finite number; got inf",
    "data.root=[a,5]": "data.root must be a prepared folder or a list of them; got ['a', 5]",
    "system.synthesis_input=canny": "system: synthesis_input must be one of",
    "system.schedules.isn.decay=2": "system.schedules.isn: decay must be a share",
    "system.isn.augment={_target_:calisketch.losses.DiffAugment,policy:[rotation]}": "policy must be some of",
    "system.isn.r1_weight=1.0 compile=true": "R1 needs second derivatives",
    "system.schedules.scn.betas=0.5": "system.schedules.scn: betas must be two numbers in [0, 1)",
}


@pytest.mark.parametrize("override", WRONG)
def test_a_wrong_key_or_value_is_named_and_nothing_is_made(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], override: str
):
    assert train_command.main([*SMALL, *override.split(" ")]) == 1
    captured = capfd.readouterr()
    assert WRONG[override] in captured.err
    assert "Traceback" not in captured.err
    assert list(tmp_path.iterdir()) == []


def test_a_key_that_there_is_not_is_hydras_error_and_names_it(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    assert train_command.main([*SMALL, "trian.foo=1"]) == 1
    said = capfd.readouterr().err
    assert "ConfigError: Could not override 'trian.foo'" in said
    assert "Traceback" not in said
    assert "HYDRA_FULL_ERROR" not in os.environ
    assert list(tmp_path.iterdir()) == []


def test_a_terminal_that_was_closed_does_not_change_the_exit_status(monkeypatch: pytest.MonkeyPatch):
    screen, terminal = os.openpty()
    closed = open(terminal, "w")  # noqa: SIM115 - closing it fails, as all writing does
    os.close(screen)
    monkeypatch.setattr(sys, "stderr", closed)
    with pytest.raises(OSError, match="Input/output error"):
        print("anything", file=closed, flush=True)
    assert train_command.main(["experiment=paper/cali_sketch"]) == 1
    with suppress(OSError):
        closed.close()


def test_no_photos_is_an_error_that_says_how_to_get_some(capfd: pytest.CaptureFixture[str]):
    assert train_command.main(["experiment=paper/cali_sketch"]) == 1
    assert "calisketch prepare" in capfd.readouterr().err


FEATURES = ["network@system.isn.discriminator=features", "system.isn.discriminator.vgg_width=2"]


@pytest.mark.parametrize("given", [[], FEATURES], ids=["d2_of_images", "d2_of_features"])
def test_the_system_itself_interrupted_and_resumed_equals_uninterrupted_bit_for_bit(
    given: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    assert train_command.main([*SMALL, *given, "run_dir=straight"]) == 0
    terms, calls = ISN.generator_losses, [0]

    def signalling(network: ISN, batch: Batch) -> Batch:
        calls[0] += 1
        if calls[0] in (2, 5):  # in ISN's second step, then in the joint stage's first
            os.kill(os.getpid(), signal.SIGINT)
        return terms(network, batch)

    monkeypatch.setattr(ISN, "generator_losses", signalling)
    statuses = [train_command.main([*SMALL, *given, "run_dir=interrupted"]) for _ in range(3)]
    assert statuses == [130, 130, 0]
    straight, resumed = (load_latest(tmp_path / name / "checkpoints") for name in ("straight", "interrupted"))
    for kind in ("generators", "discriminators"):
        for name, kept in straight[kind].items():
            for key, value in kept.items():
                assert torch.equal(value, resumed[kind][name][key]), (kind, name, key)
    assert straight["plateau"] == resumed["plateau"]


@pytest.mark.slow
def test_the_script_stops_on_a_signal_and_the_same_command_goes_on(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    root = Path(train_command.__file__).resolve().parents[2]
    command = [str(root / "tools" / "train.py"), *SMALL, "stages=[scn]", "log_every=1"]
    command.append("system.schedules.scn.iterations=100000")
    running = warm_start.start(command, cwd=tmp_path, stdout=subprocess.DEVNULL)
    assert running.stderr is not None
    for line in running.stderr:
        if line.startswith("scn 2/"):
            running.terminate()
            break
    rest = running.stderr.read()
    assert running.wait(timeout=300) == 143, rest
    assert "stopped by SIGTERM after step" in rest
    stopped = load_latest(tmp_path / "runs" / "few_steps" / "checkpoints")["step"]
    command[-1] = f"system.schedules.scn.iterations={stopped + 2}"
    assert train_command.main(command[1:]) == 0
    said = capfd.readouterr().err
    assert f"stage scn, step {stopped}" in said
    assert "changed since: system.schedules.scn.iterations: 100000 ->" in said
    assert load_latest(tmp_path / "runs" / "few_steps" / "checkpoints")["step"] == stopped + 2


@pytest.mark.slow
def test_a_second_ctrl_c_stops_at_once_and_the_saved_step_is_intact(tmp_path: Path):
    root = Path(train_command.__file__).resolve().parents[2]
    wide = ["system.scn.generator.width=32", "data.size=128", "preview_every=1000"]  # a step takes half a second
    options = [*SMALL, *wide, "stages=[scn]", "log_every=1", "checkpoint_every=1", "wandb.mode=disabled", "run_dir=run"]
    command = [str(root / "tools" / "train.py"), *options, "system.schedules.scn.iterations=1000"]
    running = warm_start.start(command, cwd=tmp_path, stdout=subprocess.DEVNULL)
    assert running.stderr is not None
    assert any(line.startswith("scn 1/") for line in running.stderr)
    kept = tmp_path / "run" / "checkpoints"
    end = time.monotonic() + 30
    while not list_checkpoints(kept) and time.monotonic() < end:
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    assert any("SIGINT: saves and stops after this step; Ctrl-C again" in line for line in running.stderr)
    running.send_signal(signal.SIGINT)
    assert running.wait(timeout=60) == -signal.SIGINT  # 130 would be after the step, saved
    rest = running.stderr.read()
    assert "stopped by" not in rest
    assert "Traceback" not in rest
    assert load_latest(kept)["step"] >= 1
    assert [path.name for path in kept.iterdir() if path.suffix != ".safetensors"] == []


def test_a_full_disk_ends_with_status_1_and_room_lets_the_same_command_go_on(
    tmp_path: Path, small_disk: Path, capfd: pytest.CaptureFixture[str]
):
    disk = os.statvfs(small_disk)
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(disk.f_bavail * disk.f_frsize - 2_500_000))
    assert train_command.main([*SMALL, f"run_dir={small_disk / 'run'}"]) == 1
    said = capfd.readouterr().err
    assert "cannot be written: " in said
    assert "No space left on device" in said
    assert "Traceback" not in said
    assert not list(small_disk.rglob(".*"))
    ballast.unlink()
    assert train_command.main([*SMALL, f"run_dir={small_disk / 'run'}"]) == 0
    assert train_command.main([*SMALL, "run_dir=straight"]) == 0
    lines = [
        [record | {"images_per_second": 0, "steps_per_second": 0} for record in read_metrics(folder / "metrics.jsonl")]
        for folder in (small_disk / "run", tmp_path / "straight")
    ]
    assert lines[0] == lines[1]


def test_a_folder_that_cannot_be_written_to_is_refused(small_disk: Path, capfd: pytest.CaptureFixture[str]):
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert train_command.main([*SMALL, f"run_dir={small_disk / 'run'}"]) == 1
    said = capfd.readouterr().err
    assert "cannot be written to: [Errno 30] Read-only file system" in said
    assert "Traceback" not in said
