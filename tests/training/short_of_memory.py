"""Trains until memory runs out, then with less need; a test starts it: python short_of_memory.py RUN_DIR MEGABYTES."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

from calisketch.commands import train as train_command
from calisketch.weights.download import sha256_of

SMALL = [
    "experiment=smoke/cali_sketch",
    "debug=few_steps",
    "threads=1",
    "data.size=32",
    "data.stand_in.train.count=4",
    "data.stand_in.validation.count=2",
    "system.scn.generator.width=4",
    "system.isn.generator.width=4",
    "system.scn.generator.blocks=1",
    "system.isn.generator.blocks=1",
    "system.scn.discriminator.width=4",
    "system.isn.discriminator.width=4",
    "system.isn.vgg.width=2",
]


def memory_in_use() -> int:
    """Bytes of address space."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def digests(run_dir: str) -> dict[str, str]:
    """SHA-256 of each checkpoint."""
    return {path.name: sha256_of(path) for path in Path(run_dir, "checkpoints").glob("*.safetensors")}


def main(run_dir: str, megabytes: int) -> None:
    """Says the exit statuses of three commands: enough memory, too little, the need lowered."""
    command = [*SMALL, f"run_dir={run_dir}"]
    unlimited = resource.getrlimit(resource.RLIMIT_AS)
    print(train_command.main([*command, "stages=[scn]", "batch_size=2"]))
    before = digests(run_dir)
    resource.setrlimit(resource.RLIMIT_AS, (memory_in_use() + megabytes * 2**20, unlimited[1]))
    print(train_command.main([*command, "stages=[scn, isn]", "batch_size=2048"]))
    print("unchanged" if before and digests(run_dir) == before else "changed")
    print(train_command.main([*command, "stages=[scn, isn]", "batch_size=2", "accumulate=2"]))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
