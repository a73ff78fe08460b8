"""The commands ``prepare``, ``prepare-cuhk`` and ``prepare-pairs``: photos -> a folder to train on.

Over processes or machines: --multirun 'shard=range(0,8)' shards=8 hydra/launcher=joblib (or submitit_slurm)
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from ..datasets import prepare_cuhk, prepare_pairs, prepare_photos
from .hydra_entry import Unfinished, exit_status


def main(argv: Sequence[str] | None = None) -> int:
    """Prepares photos by conf/prepare.yaml and ``argv`` (Hydra's overrides; the process's own if None).

    Returns:
        The exit status: 0; 1 if not every photo was taken, or after an error that was printed; 130 after Ctrl+C.
    """
    return exit_status("prepare", partial(_run, prepare_photos), argv)


def cuhk(argv: Sequence[str] | None = None) -> int:
    """Prepares the CUHK student set by conf/prepare_cuhk.yaml, as `main`."""
    return exit_status("prepare_cuhk", partial(_run, prepare_cuhk, example="'source=[ZIPS OR FOLDERS]'"), argv)


def pairs(argv: Sequence[str] | None = None) -> int:
    """Prepares photos with a drawing of each by conf/prepare_pairs.yaml, as `main`."""
    return exit_status("prepare_pairs", partial(_run, prepare_pairs, unit="pair"), argv)


def _run(prepare: Callable[..., Any], cfg: DictConfig, *, unit: str = "photo", example: str = "source=FOLDER") -> int:
    """Prepares as ``cfg`` says.

    prepare: takes the configuration's values by name, and ``progress``. unit: what is counted. example: of what must be
    given.
    """
    several = HydraConfig.get().mode == RunMode.MULTIRUN

    def stopped(text: str) -> int:
        if several:  # perhaps in a process of its own, of which an exception is all that is told
            raise Unfinished(text)
        print(f"error: {text}", file=sys.stderr)
        return 1

    if missing := OmegaConf.missing_keys(cfg):
        return stopped(f"{', '.join(missing)} must be given, for example {example}")
    container = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    assert isinstance(container, dict)
    options = {str(name): value for name, value in container.items()}

    def bar(results: Iterable[Any], total: int) -> Iterable[Any]:
        shard = "" if cfg.shard is None else f"shard {cfg.shard}"
        return tqdm(results, total=total, unit=unit, desc=shard, disable=not total)

    try:
        report = prepare(**options, progress=bar)
    except (OSError, ValueError, RuntimeError) as error:
        return stopped(str(error))
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        if several:
            raise SystemExit(130) from None
        return 130
    print(report, flush=True)
    if not report.ok and several:
        raise Unfinished(f"not every {unit} was taken, see above")
    return 0 if report.ok else 1
