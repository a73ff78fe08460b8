"""Prepare a folder of photos of faces: python tools/prepare.py source=FOLDER out=data/photos"""

from __future__ import annotations

import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from calisketch.datasets import prepare_photos

ROOT = Path(__file__).resolve().parents[1]


@hydra.main(version_base="1.3", config_path=str(ROOT / "conf"), config_name="prepare")
def main(cfg: DictConfig) -> None:
    if missing := OmegaConf.missing_keys(cfg):
        sys.exit(f"error: {', '.join(missing)} must be given, for example source=FOLDER")
    options = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    assert isinstance(options, dict)
    try:
        report = prepare_photos(
            **options, progress=lambda results, total: tqdm(results, total=total, unit="photo", disable=not total)
        )
    except (OSError, ValueError, RuntimeError) as error:
        sys.exit(f"error: {error}")
    print(report)
    sys.exit(0 if report.ok else 1)


if __name__ == "__main__":
    main()
