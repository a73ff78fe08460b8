"""tools/recipe.py: what it would run, that its mistakes are found first, and a small recipe for real."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import warm_start
from composing import composed
from omegaconf import DictConfig, OmegaConf
from PIL import Image

from calisketch.commands.train_config import check_config, conf_dir
from calisketch.datasets import prepare_photos

TOOLS = Path(__file__).resolve().parents[2] / "tools"
sys.path.insert(0, str(TOOLS))

import recipe  # noqa: E402

RECIPES = sorted(path.stem for path in (conf_dir() / "recipe").glob("*.yaml"))


def described(*overrides: str) -> DictConfig:
    return composed("recipe", "data.cuhk='it is here, so'", "data.general=general", "data.shoes=shoes", *overrides)


@pytest.mark.parametrize("name", RECIPES)
def test_every_training_of_every_recipe_is_a_configuration_that_holds(name: str) -> None:
    cfg = described(f"recipe={name}")
    done: set[str] = set()
    for run in cfg.runs:
        overrides = recipe.training(cfg, run)[2:]
        training = composed("train", *overrides)
        check_config(training)
        assert training.data.size == cfg.size
        sources = cfg.runs[run].get("from") or []
        sources = [sources] if isinstance(sources, str) else list(sources.values() if sources else [])
        assert set(sources) <= done, "a run comes after those that it builds on"
        done.add(run)
        if "stage" in cfg.runs[run]:
            stages = recipe.stages_of(cfg.runs[run])
            assert training.stages == list(stages)
            assert sum(stages.values()) == pytest.approx(1)
            assert training.batch_size == cfg.runs[run].batch_size
            assert {training.system.schedules[stage].patience for stage in stages} == {None}, "or steps are no measure"
    if "stage" in cfg.runs[run]:
        assert sum(entry.share for entry in cfg.runs.values()) == pytest.approx(1)


@pytest.mark.parametrize("name", RECIPES)
def test_every_table_is_an_evaluation_that_composes(name: str) -> None:
    cfg = described(f"recipe={name}")
    for table, settings in cfg.tables.items():
        command = recipe.evaluation(cfg, table)
        kind = "compare" if "comparison" in settings else "evaluate"
        assert command[1:4] == ["-m", "calisketch", kind]
        evaluation = composed(kind, *command[4:])
        if kind == "evaluate":
            assert set(evaluation) <= set(OmegaConf.load(conf_dir() / "evaluate.yaml"))
        else:
            assert not OmegaConf.missing_keys(evaluation), "the recipe gives every model"
        assert evaluation.data.root in ("it is here, so", "general", "shoes")


@pytest.mark.parametrize("name", RECIPES)
def test_only_can_tell_runs_from_tables(name: str) -> None:
    cfg = described(f"recipe={name}")
    assert not set(cfg.runs) & set(cfg.tables)


def test_mistakes_are_found_before_anything_runs() -> None:
    with pytest.raises(recipe.RecipeError, match="only names"):
        list(recipe.parts(described("only=[nonsense]")))
    with pytest.raises(recipe.RecipeError, match=r"needs data\.general"):
        list(recipe.parts(described("data.general=null")))
    with pytest.raises(recipe.RecipeError, match="builds on 'nothing'"):
        list(recipe.parts(described("runs.isn.from=nothing")))
    for wrong in ("minutes=soon", "minutes=-1", "minutes=true", "trial_steps=0", "trial_steps=2.5"):
        with pytest.raises(recipe.RecipeError, match=f"{wrong.split('=')[0]} must be a (whole )?number above 0"):
            list(recipe.parts(described("recipe=gpu_256", wrong)))
    with pytest.raises(recipe.RecipeError, match="minutes=10: this recipe's runs do not say their batch_size, share"):
        list(recipe.parts(described("recipe=small", "minutes=10")))


def test_one_part_is_chosen_by_its_name_alone() -> None:
    assert [name for name, _ in recipe.parts(described("recipe=small", "only=cuhk"))] == ["cuhk"]


def test_any_folder_is_handed_over_as_it_is_called() -> None:
    cfg = described("recipe=small", "out='over there, it is [mine]'")
    training = composed("train", *recipe.training(cfg, "cuhk")[2:])
    evaluation = composed("evaluate", *recipe.evaluation(cfg, "general_synthetic")[4:])
    assert training.run_dir == "over there, it is [mine]/cuhk"
    assert evaluation.out == "over there, it is [mine]/tables/general_synthetic"


def test_a_table_without_photos_is_found_before_hours_of_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for place in range(4):
        Image.new("RGB", (32, 32), (60 * place, 0, 0)).save(photos / f"{place}.png")
    prepare_photos(photos, tmp_path / "data", size=32, align=False, contour="none", workers=0)
    ran: list[str] = []
    monkeypatch.setattr(recipe, "_run", lambda name, command: ran.append(name))
    data = [f"data.cuhk={tmp_path / 'data'}", f"data.general={tmp_path / 'data'}", "size=32"]
    for table, said in (("general_synthetic", "no photos in split 'test'"), ("cuhk_artist", "with an artist drawing")):
        with pytest.raises(recipe.RecipeError, match=f"table {table} cannot be made.*{said}.*folder named test"):
            recipe.follow(described("recipe=gpu_256", *data, f"only=[scn,{table}]"))
    with pytest.raises(recipe.RecipeError, match="was prepared at size 32, expected 256"):
        recipe.follow(described("recipe=gpu_256", *data[:2], "only=[scn,general_synthetic]"))
    assert not ran
    recipe.follow(described("recipe=gpu_256", *data, "only=[scn,general_synthetic]", "evaluate=['split=validation']"))
    assert ran == ["scn", "general_synthetic"]


def test_the_rehearsal_that_a_recipe_names_makes_every_network_and_picture_small() -> None:
    head = (conf_dir() / "recipe" / "gpu_256.yaml").read_text(encoding="utf-8").replace("\\\n#", "")
    (command,) = [line for line in head.splitlines() if "out=runs/rehearsal" in line]
    cfg = composed("recipe", *shlex.split(command.lstrip("# "))[2:])
    assert cfg.minutes is not None
    for run in cfg.runs:
        training = composed("train", *recipe.training(cfg, run)[2:])
        networks = [
            network for part in training.system.values() if OmegaConf.is_dict(part) for network in part.values()
        ]
        widths = [network.width for network in networks if OmegaConf.is_dict(network) and "width" in network]
        assert set(widths) == {8}, run
        assert len(widths) == (4 if "scn" in training.system else 2), run
        assert training.data.size == 64
    for table in cfg.tables:
        assert composed("evaluate", *recipe.evaluation(cfg, table)[4:]).split == "validation"


class Clock:
    """Stands in for time and for what takes it: a training starts in ``start`` seconds, then makes its steps, or passes
    them over where they are made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, start: float, rates: dict[str, float]) -> None:
        self.now, self.start, self.rates = 0.0, start, rates
        self.ran: list[tuple[str, dict[str, int]]] = []
        self.fails = ""
        monkeypatch.setattr(recipe, "_run", self.run)
        monkeypatch.setattr(recipe.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(recipe, "check_photos", lambda *given: None)

    def run(self, name: str, command: list[str]) -> None:
        if not command[1].endswith("train.py"):
            self.ran.append((name, {}))
            return
        given = dict(part.split("=", 1) for part in command[2:] if "=" in part)
        stages = given["stages"][1:-1].split(",")
        steps = {stage: int(given[f"system.schedules.{stage}.iterations"]) for stage in stages}
        self.ran.append((name, steps))
        self.now += self.start
        if name == self.fails:
            raise recipe.RecipeError("stopped")
        folder = Path(given["run_dir"][1:-1])
        if folder.is_dir():
            return
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / "metrics.jsonl", "a") as metrics:
            for stage, count in steps.items():
                self.now += count / self.rates[stage]
                rate = self.rates[stage]
                for speed in (1.0, 1.0, rate, rate, 0.9 * rate):  # the first ones are slowed down by compilation
                    record = {"kind": "train", "stage": stage, "steps_per_second": speed}
                    metrics.write(json.dumps(record) + "\n")
                metrics.write(json.dumps({"kind": "validation", "stage": stage}) + "\n")


RATES = {"scn": 10.0, "isn": 5.0, "joint": 4.0, "pix2pix": 8.0}


def test_steps_are_fitted_to_the_minutes_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = described("recipe=gpu_256", f"out={tmp_path}", "minutes=30", "trial_steps=50")
    clock = Clock(monkeypatch, 20, RATES)
    fitted = recipe.fitted(cfg, "isn")
    # The start is paid twice, by the trial and by the run; the trial's steps once.
    expected = 0.9 * (30 * 60 * cfg.runs.isn.share - 2 * 20 - 50 / 5) * 5
    steps = int(fitted[0].removeprefix("system.schedules.isn.iterations="))
    assert steps == pytest.approx(expected, abs=1)
    assert clock.ran == [("isn, a trial of 50 steps", {"isn": 50})]
    assert not (tmp_path / "trials" / "isn").exists(), "it takes room, and is of no more use"
    assert {f"validate_every={steps // 4}", f"checkpoint_every={steps // 4 // 2}"} < set(fitted)
    assert recipe.fitted(cfg, "isn") == fitted
    assert len(clock.ran) == 1
    cfg.minutes = 60
    with pytest.raises(recipe.RecipeError, match=r"settled for minutes=30; got minutes=60\. Give an out of its own"):
        recipe.fitted(cfg, "isn")


def test_a_run_of_several_stages_has_time_for_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = described("recipe=gpu_256", f"out={tmp_path}", "minutes=60", "trial_steps=50")
    clock = Clock(monkeypatch, 20, RATES)
    recipe.fitted(cfg, "paper")
    left = 60 * 60 * cfg.runs.paper.share - 2 * 20 - 50 / 10 - 50 / 5 - 50 / 4
    kept = json.loads((tmp_path / "paper.fitted.json").read_text())["steps"]
    for stage, part in cfg.runs.paper.stage.items():
        assert kept[stage] == pytest.approx(0.9 * left * part * RATES[str(stage)], abs=1)
    (every,) = (each for each in recipe.fitted(cfg, "paper") if each.startswith("validate_every="))
    assert int(every.removeprefix("validate_every=")) <= min(kept.values()), "no stage goes by unseen"
    assert clock.ran == [("paper, a trial of 50 steps", {"scn": 50, "isn": 50, "joint": 50})]


def test_all_runs_together_take_the_minutes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cfg = described("recipe=gpu_256", f"out={tmp_path}", "minutes=30", "trial_steps=20")
    clock = Clock(monkeypatch, 15, RATES)
    recipe.follow(cfg)
    assert 0.93 * 30 * 60 < clock.now <= 30 * 60
    assert [name for name, _ in clock.ran if "trial" not in name] == [*cfg.runs, *cfg.tables]
    said = capsys.readouterr().out
    assert "too few" not in said
    assert f"{clock.now / 60:.1f} taken" in said
    steps = [steps for name, steps in clock.ran if name in cfg.runs]
    clock.ran.clear()
    recipe.follow(cfg)  # again: what is done keeps its steps and its time
    assert [steps for name, steps in clock.ran if name in cfg.runs] == steps
    assert capsys.readouterr().out == said


def test_what_a_run_takes_too_long_is_taken_from_all_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run whose trial eats its share has a trial's steps, and the recipe goes on, within the time where it can."""
    cfg = described("recipe=gpu_256", f"out={tmp_path}", "minutes=30", "trial_steps=20")
    clock = Clock(monkeypatch, 75, RATES)
    recipe.follow(cfg)
    done = dict(clock.ran)
    assert done["isn_only"] == {"isn": 20}
    assert done["cuhk"]["joint"] > 100
    assert clock.now <= 30 * 60
    said = capsys.readouterr().out
    assert "warning: run isn_only has " in said
    assert "isn_only: 20 (isn) steps" in said
    assert "too few to learn anything: give more minutes" in said

    short = described("recipe=gpu_256", f"out={tmp_path / 'short'}", "minutes=1", "trial_steps=20")
    recipe.follow(short)
    assert {count for name, steps in clock.ran[len(done) :] for count in steps.values()} == {20}
    assert [name for name, _ in clock.ran[-3:]] == list(cfg.tables)


def test_a_run_that_was_stopped_has_its_time_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = described("recipe=gpu_256", f"out={tmp_path}", "minutes=30", "trial_steps=20")
    clock = Clock(monkeypatch, 15, RATES)
    clock.fails = "scn"
    with pytest.raises(recipe.RecipeError, match="stopped"):
        recipe.follow(cfg)
    wanted = clock.ran[-1]
    clock.fails = ""
    clock.ran.clear()
    recipe.follow(cfg)
    assert wanted in clock.ran
    assert "scn, a trial of 20 steps" not in dict(clock.ran)
    assert clock.now <= 30 * 60 + 15, "and the start of paper, which is passed over"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_the_training_save_and_stop(tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C reaches all of a terminal's processes, and what a scheduler sends reaches the recipe alone."""
    saved = tmp_path / "saved"
    training = f"""
import pathlib, signal, sys, time
def stop(*_):
    time.sleep(0.5)  # longer than subprocess.run waits for a child after Ctrl-C
    pathlib.Path({str(saved)!r}).touch()
    sys.exit(7)
for each in (signal.SIGINT, signal.SIGTERM):
    signal.signal(each, stop)
print("ready", flush=True)
time.sleep(60)
"""
    script = f"import sys; sys.path.insert(0, {str(TOOLS)!r}); import recipe; recipe._run('it', sys.argv[1:])"
    with warm_start.start(["-c", script, sys.executable, "-c", training], start_new_session=True) as told:
        while told.stdout.readline() != "ready\n":  # type: ignore[union-attr]
            assert told.poll() is None
        if number == signal.SIGINT:
            os.killpg(told.pid, number)
        else:
            told.send_signal(number)
        _, errors = told.communicate(timeout=60)
    assert saved.exists()
    assert "it ended with status 7; the same command goes on from there" in errors


def test_recipes_do_not_share_a_folder() -> None:
    names = [path.stem for path in sorted((conf_dir() / "recipe").glob("*.yaml"))]
    folders = [described(f"recipe={name}").out for name in names]
    assert folders == [f"runs/{name}" for name in names]


@pytest.mark.parametrize("name", ["small", "fine_general", "gpu_256"])
def test_a_table_of_models_of_two_sets_knows_both(name: str) -> None:
    cfg = described(f"recipe={name}", "data.cuhk=data/its", "data.general=data/o")
    assert "training_root=['data/o','data/its']" in recipe.evaluation(cfg, "general_synthetic")
    cfg.data.cuhk = None
    with pytest.raises(recipe.RecipeError, match=r"table general_synthetic needs data\.cuhk=FOLDER"):
        recipe.evaluation(cfg, "general_synthetic")


def test_a_recipe_trains_and_a_mistake_is_its_exit_status(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    noise = np.random.default_rng(0)
    for place in range(8):
        Image.fromarray(noise.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(photos / f"{place}.png")
    prepare_photos(photos, tmp_path / "data", size=32, align=False, contour="none", validation_share=0.25, workers=1)
    settings = ["stages=[scn]", "data.size=32", "system.scn.contour=false", "system.schedules.scn.iterations=3"]
    command = [
        *(str(TOOLS / "recipe.py"), "recipe=small", f"data.cuhk={tmp_path / 'data'}", "only=[scn]"),
        *("size=32", "common=['experiment=smoke/cali_sketch']", "runs.scn.data=[cuhk]", f"out={tmp_path / 'out'}"),
        f"runs.scn.set={recipe.listed(settings)}",
    ]
    done = warm_start.run(command, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "stage scn is done after 3 steps" in done.stdout + done.stderr
    command.append("only=[nonsense]")
    failed = warm_start.run(command, timeout=120)
    assert failed.returncode == 1
    assert "only names ['nonsense']" in failed.stderr


def test_the_first_training_that_fails_ends_a_recipe(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    with pytest.raises(recipe.RecipeError, match="scn ended with status 1; the same command goes on from there"):
        recipe.follow(described("recipe=small", "only=[scn,isn]"))
    assert capfd.readouterr().out.count("== ") == 1


@pytest.mark.parametrize("only", ["pairs_21", "few_shot", "artist_track", "artist_hand", "sketcher"])
def test_drawings_that_are_missing_are_missed_before_any_training(tmp_path: Path, only: str) -> None:
    for split in ("train", "test"):
        (tmp_path / "photos" / split).mkdir(parents=True)
        for place in range(4):
            Image.new("RGB", (32, 32), (60 * place, 0, 0)).save(tmp_path / "photos" / split / f"{place}.png")
    prepare_photos(tmp_path / "photos", tmp_path / "data", size=32, align=False, contour="none", workers=0)
    cfg = described("recipe=cgan_faces", f"data.cuhk='{tmp_path / 'data'}'", "size=32", f"only=[{only}]")
    with pytest.raises(recipe.RecipeError, match=f"{only} cannot be made.*with an artist drawing"):
        recipe.follow(cfg)


@pytest.mark.parametrize(
    "overrides",
    [[], ["size=256", "painter=trials/cgan_faces_256", "drawer=paper/photo_to_sketch", "scratch_steps=8300"]],
)
def test_few_shots_rivals_are_trained_for_as_many_steps(overrides: list[str]) -> None:
    cfg = described("recipe=cgan_faces", *overrides)
    steps = {}
    for run in ("all", "pairs_48", "pairs_68", "artist_tuned", "scratch_68"):
        steps[run] = composed("train", *recipe.training(cfg, run)[2:]).system.schedules.pix2pix.iterations
    assert steps["scratch_68"] == steps["all"] + steps["pairs_68"]
    assert steps["pairs_48"] == steps["artist_tuned"] == steps["pairs_68"]
    if overrides:
        head = (conf_dir() / "recipe" / "cgan_faces.yaml").read_text(encoding="utf-8")
        assert "scratch_steps=8300" in head
