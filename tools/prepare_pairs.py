"""Prepare photos together with drawings of them: python tools/prepare_pairs.py source=FOLDER out=data/pairs

SOURCE holds photos/ and sketches/, by the same names. For few_shot and photo_to_sketch.
"""

from __future__ import annotations

from pathlib import Path

import hydra
from omegaconf import DictConfig

from calisketch.commands.prepare import follow
from calisketch.datasets import prepare_pairs

ROOT = Path(__file__).resolve().parents[1]


@hydra.main(version_base="1.3", config_path=str(ROOT / "conf"), config_name="prepare_pairs")
def main(cfg: DictConfig) -> None:
    follow(cfg, prepare_pairs, unit="pair")


if __name__ == "__main__":
    main()
