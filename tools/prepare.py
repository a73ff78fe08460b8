"""Prepare a folder of photos of faces: python tools/prepare.py source=FOLDER out=data/photos

Over processes or machines: --multirun 'shard=range(0,8)' shards=8 hydra/launcher=joblib (or submitit_slurm)
"""

from __future__ import annotations

from pathlib import Path

import hydra
from omegaconf import DictConfig

from calisketch.commands.prepare import follow
from calisketch.datasets import prepare_photos

ROOT = Path(__file__).resolve().parents[1]


@hydra.main(version_base="1.3", config_path=str(ROOT / "conf"), config_name="prepare")
def main(cfg: DictConfig) -> None:
    follow(cfg, prepare_photos)


if __name__ == "__main__":
    main()
