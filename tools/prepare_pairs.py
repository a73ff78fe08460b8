"""Prepare photos together with drawings of them: python tools/prepare_pairs.py source=FOLDER out=data/pairs

SOURCE holds photos/ and sketches/, by the same names. For few_shot and photo_to_sketch.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from calisketch.datasets import prepare_pairs

ROOT = Path(__file__).resolve().parents[1]


@hydra.main(version_base="1.3", config_path=str(ROOT / "conf"), config_name="prepare_pairs")
def main(cfg: DictConfig) -> None:
    # An exit would take the other shards of a multirun along, and Hydra shows this exception without a traceback.
    stop = CompactHydraException if HydraConfig.get().mode == RunMode.MULTIRUN else SystemExit
    if missing := OmegaConf.missing_keys(cfg):
        raise stop(f"error: {', '.join(missing)} must be given, for example source=FOLDER")
    options = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    assert isinstance(options, dict)

    def bar(results: Iterable[Any], total: int) -> Iterable[Any]:
        shard = "" if cfg.shard is None else f"shard {cfg.shard}"
        return tqdm(results, total=total, unit="pair", desc=shard, disable=not total)

    try:
        report = prepare_pairs(**options, progress=bar)
    except (OSError, ValueError, RuntimeError) as error:
        raise stop(f"error: {error}") from None
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        sys.exit(130)
    print(report, flush=True)
    if stop is SystemExit:
        sys.exit(0 if report.ok else 1)
    if not report.ok:
        raise stop("not every pair was taken, see above")


if __name__ == "__main__":
    main()
