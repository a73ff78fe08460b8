"""Kills a training again and again, damages what it left, and compares the end with an undisturbed run, bit for bit.

    python tools/chaos.py --kills 50 --seed 0

The training is `experiment=smoke/cali_sketch` in miniature on a CPU in fp32: all three stages, every step logged, a
checkpoint every third step. A kill is SIGKILL at a random moment: while the process starts, between any two
instructions of the training, or inside a save (as soon as a half-written file is seen). Some attempts get SIGTERM or
SIGINT instead, which must end them with 143 or 130 after saving. After some kills a random bit of the newest
checkpoint is flipped, or the file is cut short. When a run comes to its end before the kills are used up, the next
one begins. Exits with 1 if anything differs.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import safe_open

from calisketch.training.checkpoint import CheckpointError, list_checkpoints, load_checkpoint
from calisketch.training.logging import read_metrics

ROOT = Path(__file__).resolve().parents[1]
SMALL = [
    "experiment=smoke/cali_sketch",
    "threads=1",
    "accelerator=cpu",
    "wandb.mode=disabled",
    "data.size=32",
    "data.stand_in.train.count=10",
    "data.stand_in.validation.count=4",
    "log_every=1",
    "checkpoint_every=3",
    "validate_every=7",
    "preview_every=25",
    "keep=3",
    *(f"system.{part}.{network}.width=4" for part in ("scn", "isn") for network in ("generator", "discriminator")),
    *(f"system.{part}.generator.blocks=2" for part in ("scn", "isn")),
    "system.isn.vgg.width=4",
    "system.schedules.scn.iterations=60",
    "system.schedules.isn.iterations=60",
    "system.schedules.joint.iterations=40",
]


def start(run_dir: Path) -> subprocess.Popen[bytes]:
    """In the folder above, so that every run has the same settings to the letter."""
    run_dir.parent.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with open(run_dir.with_suffix(".log"), "ab") as log:
        command = [sys.executable, str(ROOT / "tools" / "train.py"), *SMALL, f"run_dir={run_dir.name}"]
        return subprocess.Popen(command, env=environment, cwd=run_dir.parent, stdout=log, stderr=log)


def steps_done(run_dir: Path) -> int:
    path = run_dir / "metrics.jsonl"
    return sum(record["kind"] == "train" for record in read_metrics(path)) if path.exists() else 0


def wait_for_a_step(process: subprocess.Popen[bytes], run_dir: Path) -> None:
    path, before = run_dir / "metrics.jsonl", time.time()
    while process.poll() is None and not (path.exists() and path.stat().st_mtime > before):
        time.sleep(0.005)


def unfinished(run_dir: Path) -> list[str]:
    """What is being written, or a kill left half-written: until it is whole, a file has a name with a dot before it."""
    return [str(path.relative_to(run_dir)) for path in run_dir.rglob(".*")]


def kill_somewhere(process: subprocess.Popen[bytes], run_dir: Path, chance: random.Random) -> str:
    """Ends the process at a moment of its own choosing; says how. "end" if it came to its own end before."""
    kind = chance.choices(["start", "training", "save", "SIGTERM", "SIGINT"], [15, 40, 30, 8, 7])[0]
    if kind == "start":
        time.sleep(chance.uniform(0, 4))
    else:
        wait_for_a_step(process, run_dir)
        time.sleep(chance.uniform(0, 1.5))
    if kind == "save":
        folder = run_dir / "checkpoints"
        while process.poll() is None and not any(name.startswith(".") for name in os.listdir(folder)):
            pass
        time.sleep(chance.uniform(0, 0.004))
    if process.poll() is None:
        process.send_signal(getattr(signal, kind) if kind.startswith("SIG") else signal.SIGKILL)
    status = process.wait()
    expected = {"SIGTERM": (143, 0), "SIGINT": (130, 0)}.get(kind, (-signal.SIGKILL, 0))
    if status not in expected:
        sys.exit(f"{kind}: exit status {status}, expected {expected[0]}; see {run_dir.with_suffix('.log')}")
    return "end" if status == 0 else kind


def damage(run_dir: Path, chance: random.Random) -> str | None:
    """Flips a bit of the newest checkpoint, or cuts it short, if there is one before it."""
    paths = list_checkpoints(run_dir / "checkpoints")
    if len(paths) < 2:
        return None
    content = bytearray(paths[-1].read_bytes())
    cut = chance.random() < 0.5
    if cut:
        del content[chance.randrange(len(content)) :]
    else:
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    paths[-1].write_bytes(content)
    return "cut" if cut else "bit flipped"


def fingerprint(run_dir: Path) -> dict[str, Any]:
    """All that has to be the same: every logged figure but the speed, checkpoints, pictures and the model."""
    lines = [
        {key: value for key, value in record.items() if key not in ("images_per_second", "steps_per_second")}
        for record in read_metrics(run_dir / "metrics.jsonl")
    ]
    files = sorted([*(run_dir / "previews").iterdir(), *(run_dir / "model").glob("*.safetensors")])
    checkpoints = sorted((run_dir / "checkpoints").glob("*.safetensors"))
    return {
        "figures": lines,
        "checkpoints": {path.name: checkpoint_digest(path) for path in checkpoints},
        "files": {path.name: path.read_bytes() for path in files},
        "left over": unfinished(run_dir),
    }


def checkpoint_digest(path: Path) -> str:
    """The digest a checkpoint carries, after it was found to fit: of every weight, moment, counter and setting."""
    load_checkpoint(path)
    with safe_open(path, framework="pt") as file:
        return str(file.metadata()["sha256"])


@dataclass
class Tally:
    """What was done, and what came of it."""

    kills: Counter[str] = field(default_factory=Counter)
    damaged: Counter[str] = field(default_factory=Counter)
    half_written: int = 0
    steps_again: int = 0
    runs: int = 0
    same: int = 0

    def report(self, steps: int, seconds: float) -> dict[str, Any]:
        """For the terminal, in words."""
        return {
            "kills": dict(self.kills),
            "of them with a half-written file left": self.half_written,
            "checkpoints damaged afterwards": dict(self.damaged),
            "steps that had to be run again": self.steps_again,
            "runs to the end": self.runs,
            "of them equal to the undisturbed one, bit for bit": self.same,
            "steps of a run": steps,
            "seconds": round(seconds),
        }


def torment(run_dir: Path, tally: Tally, kills: int, share: float, chance: random.Random) -> None:
    """One run, killed until the kills are used up or it has come to its end."""
    while True:
        process = start(run_dir)
        if tally.kills.total() >= kills:
            if process.wait():
                sys.exit(f"a run failed:\n{run_dir.with_suffix('.log').read_text()[-2000:]}")
            return
        how = kill_somewhere(process, run_dir, chance)
        if how == "end":
            return
        tally.kills[how] += 1
        tally.half_written += bool(unfinished(run_dir))
        harm = damage(run_dir, chance) if chance.random() < share else None
        if harm:
            tally.damaged[harm] += 1
        logged, kept = steps_done(run_dir), newest_step(run_dir)
        tally.steps_again += max(0, logged - kept)
        print(
            f"{tally.kills.total():3d} {how:8s} step {logged}, checkpoint {kept}{', ' + harm if harm else ''}",
            flush=True,
        )


def newest_step(run_dir: Path) -> int:
    """The step of the newest checkpoint that can be read, 0 without one."""
    for path in reversed(list_checkpoints(run_dir / "checkpoints")):
        try:
            return int(load_checkpoint(path)["total"])
        except CheckpointError:
            continue
    return 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50, help="how many (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (%(default)s)")
    parser.add_argument("--damage", type=float, default=0.25, help="share of kills followed by damage (%(default)s)")
    parser.add_argument("--out", type=Path, help="a folder for the runs; default: a temporary one")
    options = parser.parse_args()
    chance, tally, began = random.Random(options.seed), Tally(), time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        out = (options.out or Path(temporary)).resolve()
        straight = out / "straight" / "run"
        if start(straight).wait():
            sys.exit(f"the undisturbed run failed:\n{straight.with_suffix('.log').read_text()}")
        expected = fingerprint(straight)
        while tally.kills.total() < options.kills:
            tally.runs += 1
            run_dir = out / f"killed-{tally.runs}" / "run"
            torment(run_dir, tally, options.kills, options.damage, chance)
            got = fingerprint(run_dir)
            wrong = [part for part in expected if got[part] != expected[part]]
            tally.same += not wrong
            print(f"run {tally.runs}: {f'DIFFERS in {wrong}' if wrong else 'equal to the undisturbed one'}", flush=True)
    print(json.dumps(tally.report(steps=len(expected["figures"]), seconds=time.monotonic() - began), indent=1))
    sys.exit(0 if tally.same == tally.runs else 1)


if __name__ == "__main__":
    main()
