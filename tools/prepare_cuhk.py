"""Prepare the CUHK student faces: python tools/prepare_cuhk.py "source=[ZIPS OR FOLDERS]" out=data/cuhk size=256"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig

from calisketch.commands.prepare import follow
from calisketch.datasets import prepare_cuhk

ROOT = Path(__file__).resolve().parents[1]


def prepare_with_the_split(split: str | None, **options: Any) -> Any:
    """``prepare_cuhk``, by the project's split if none is given."""
    return prepare_cuhk(split=split or ROOT / "data" / "cuhk_split.json", **options)


@hydra.main(version_base="1.3", config_path=str(ROOT / "conf"), config_name="prepare_cuhk")
def main(cfg: DictConfig) -> None:
    follow(cfg, prepare_with_the_split, example="'source=[ZIPS OR FOLDERS]'")


if __name__ == "__main__":
    main()
