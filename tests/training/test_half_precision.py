"""Numbers stay numbers: what overflows is skipped and counted, and half precision trains as single precision does."""

from __future__ import annotations

import itertools
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
import warm_start
from overflowing import engine, overflow
from toy_runs import assert_equal, stop_at, timeless
from toy_stages import Photos, draw, stages

from calisketch.stage import Batch
from calisketch.training import Interrupted, NonFiniteLoss
from calisketch.training.checkpoint import load_latest
from calisketch.training.logging import read_metrics
from calisketch.training.state import RunState

HERE = Path(__file__).parent


def fit(run_dir: Path, listed: list[Any], **options: Any) -> RunState:
    only = options.pop("only", None)
    return engine(run_dir, **options).fit(listed, Photos(10), Photos(5, seed=1), draw=draw, only=only)


def trained(run_dir: Path) -> list[dict[str, Any]]:
    return [record for record in read_metrics(run_dir / "metrics.jsonl") if record["kind"] == "train"]


def snapshots(listed: list[Any]) -> list[dict[str, torch.Tensor]]:
    """A list that fills with both networks' weights at the beginning of each step."""
    seen: list[dict[str, torch.Tensor]] = []
    generate = listed[0].generate

    def looking(batch: Batch) -> Batch:
        pairs = (("generator", listed[0].network), ("discriminator", listed[0].critic))
        seen.append({f"{role} {n}": p.detach().clone() for role, m in pairs for n, p in m.named_parameters()})
        return generate(batch)

    listed[0].generate = looking
    return seen


def moved(seen: list[dict[str, torch.Tensor]], role: str) -> list[bool]:
    """Whether the weights of a role changed in each step but the last."""
    return [
        any(not torch.equal(before[name], after[name]) for name in before if name.startswith(role))
        for before, after in itertools.pairwise(seen)
    ]


def test_an_update_whose_gradients_overflow_is_left_out_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = stages(7, 2)
    overflow(listed[0], generator={2, 3}, discriminator={3, 5})
    seen = snapshots(listed)
    fit(tmp_path, listed, quiet=False)
    assert moved(seen, "generator") == [True, False, False, True, True, True]
    assert moved(seen, "discriminator") == [True, True, False, True, False, True]
    records = trained(tmp_path)
    assert [r["skipped_steps"]["generator"] for r in records] == [0, 1, 2, 2, 2, 2, 2, 0, 0]
    assert [r["skipped_steps"]["discriminator"] for r in records] == [0, 0, 1, 1, 2, 2, 2, 0, 0]
    assert [r["loss_scale"] for r in records[:7]] == [256, 128, 64, 64, 32, 32, 32]
    assert records[1]["gradient_norm"]["scn/generator"] is None
    said = capsys.readouterr().err
    assert (
        "scn is done after 7 steps; updates skipped since gradients overflowed: 2 of the generators', 2 of the" in said
    )
    assert "joint is done after 2 steps." in said


def test_an_average_does_not_move_in_a_skipped_step(tmp_path: Path) -> None:
    averages = []
    for last in (3, 4):
        listed = stages(last, 1)
        overflow(listed[0], generator={4})
        fit(tmp_path / str(last), listed, only=["scn"])
        averages.append(load_latest(tmp_path / str(last) / "checkpoints")["ema"]["scn"]["average"])
    assert_equal(*averages)


def test_counts_and_scale_survive_an_interruption_bit_for_bit(tmp_path: Path) -> None:
    straight = stages(6, 2, draws_noise=True)
    overflow(straight[0], generator={2, 5}, discriminator={3})
    fit(tmp_path / "straight", straight)
    first = stages(6, 2, draws_noise=True)
    overflow(first[0], generator={2}, discriminator={3})
    stop_at(first[0], 4)
    with pytest.raises(Interrupted) as caught:
        fit(tmp_path / "parts", first)
    assert caught.value.number == signal.SIGTERM
    second = stages(6, 2, seed=5, draws_noise=True)
    overflow(second[0], generator={1})  # step 5 of the run
    fit(tmp_path / "parts", second)
    one, two = (load_latest(tmp_path / name / "checkpoints") for name in ("straight", "parts"))
    assert_equal(one, two)
    lines = [timeless(read_metrics(tmp_path / name / "metrics.jsonl")) for name in ("straight", "parts")]
    assert lines[0] == lines[1]
    assert [r["skipped_steps"] for r in lines[1] if r["kind"] == "train"][5] == {"generator": 2, "discriminator": 1}


def test_gradients_that_overflow_for_ever_end_the_run_with_a_remedy(tmp_path: Path) -> None:
    listed = stages(500, 1)
    terms = listed[0].generator_losses
    # A finite value, 0, whose derivative is no number at any scale.
    listed[0].generator_losses = lambda batch: {**terms(batch), "root": (batch["refined"].sum() * 0).sqrt()}  # type: ignore
    seen = snapshots(listed)
    with pytest.raises(NonFiniteLoss, match=r"step 29: gradients overflow .*29 times in a row.*bf16-mixed or 32-true"):
        fit(tmp_path, listed, log_every=1000, validate_every=1000)
    assert not any(moved(seen, "generator"))
    assert all(moved(seen, "discriminator"))
    kept = load_latest(tmp_path / "checkpoints")
    assert all(torch.isfinite(value).all() for value in kept["generators"]["scn"].values())


@pytest.mark.slow
def test_an_overflow_in_one_process_skips_the_step_in_both(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1]), "OMP_NUM_THREADS": "1"}
    done = warm_start.run([str(HERE / "overflowing.py"), str(tmp_path)], env=environment, cwd=tmp_path, timeout=300)
    assert done.returncode == 0, done.stderr
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    assert first["skipped"] == second["skipped"] == {"generator": 1, "discriminator": 1}
    assert first["scale"] == second["scale"] == 64
    assert first["weights"] == second["weights"]


def test_a_discriminator_that_wins_is_written_down_once_also_across_a_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("calisketch.training.watch.LOW_FOR_STEPS", 4)

    def winning(iterations: int) -> list[Any]:
        listed = stages(iterations, 1)
        terms = listed[0].discriminator_losses
        listed[0].discriminator_losses = lambda batch: {n: t * 1e-4 for n, t in terms(batch).items()}
        return listed

    def warnings_of(run_dir: Path) -> list[tuple[int, str]]:
        records = read_metrics(run_dir / "metrics.jsonl")
        return [(record["total"], record["message"]) for record in records if record["kind"] == "warning"]

    stopping = winning(9)
    stop_at(stopping[0], 3)  # one step before it would be said
    with pytest.raises(Interrupted):
        fit(tmp_path, stopping, only=["scn"])
    assert warnings_of(tmp_path) == []
    again = winning(9)
    stop_at(again[0], 3)
    said = pytest.warns(UserWarning, match="stage scn: the loss of discriminator has been under 0.01 for 4 steps")
    with said, pytest.raises(Interrupted):
        fit(tmp_path, again, only=["scn"])
    fit(tmp_path, winning(9), only=["scn"])
    assert [total for total, _ in warnings_of(tmp_path)] == [4]
    assert "A lower discriminator_ratio" in warnings_of(tmp_path)[0][1]
