"""A studio in a process of its own, on models small enough for tests; it ends when its standard input does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SHIPPED, COLOURED, TINY = "cuhk-small-256", "tiny-colour", "tiny"
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Server:
    """address: "http://127.0.0.1:PORT". folder: its temporary one. surroundings: where home, cwd and tmp are."""

    address: str
    folder: Path
    surroundings: Path
    process: subprocess.Popen[str]

    def memory(self, which: str = "VmRSS") -> float:
        """MiB of the process; "VmHWM": the most there were."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8").splitlines()
        (line,) = (line for line in lines if line.startswith(f"{which}:"))
        return int(line.split()[1]) / 1024


@contextmanager
def running(surroundings: Path, *models: str) -> Iterator[Server]:
    """A studio whose home, current and temporary folder are new ones in ``surroundings``."""
    for name in ("home", "cwd", "tmp"):
        (surroundings / name).mkdir(parents=True)
    environment = os.environ | {
        "HOME": str(surroundings / "home"),
        "TMPDIR": str(surroundings / "tmp"),
        "PYTHONPATH": str(ROOT),
    }
    with open(surroundings / "errors.txt", "w", encoding="utf-8") as errors:
        process = subprocess.Popen(
            [sys.executable, __file__, *models],
            cwd=surroundings / "cwd",
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        told = process.stdout.readline()
        assert told, (surroundings / "errors.txt").read_text(encoding="utf-8")
        found = json.loads(told)
        yield Server(found["address"].rstrip("/"), Path(found["folder"]), surroundings, process)
    finally:
        process.stdin.close()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        finally:
            process.stdout.close()


def _main(*names: str) -> None:
    import torch
    from torch import nn

    from calisketch import CaliSketch
    from calisketch.networks import ColourLed, EncoderDecoder
    from calisketch.studio.serve import studio

    torch.set_num_threads(2)
    torch.manual_seed(0)
    led = ColourLed(width=8, blocks=1)
    for parameter in led.parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=0.1)  # as after a training: colours have weight
    models: dict[str, str | Path | CaliSketch] = {
        SHIPPED: SHIPPED,
        COLOURED: CaliSketch(EncoderDecoder(1, 1, 4, 1), led, 64),
        TINY: CaliSketch(EncoderDecoder(1, 1, 4, 1), EncoderDecoder(1, 3, 4, 1, head="tanh"), 64),
    }
    with studio({name: models[name] for name in names}) as address:
        print(json.dumps({"address": address, "folder": tempfile.gettempdir()}), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    _main(*sys.argv[1:])
