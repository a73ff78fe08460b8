"""What the three tools that prepare photos have in common: options in, a bar, a report and an exit status."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm


def follow(
    cfg: DictConfig, prepare: Callable[..., Any], *, unit: str = "photo", example: str = "source=FOLDER"
) -> None:
    """Prepares as ``cfg`` says, and ends the process with a status that says whether all was taken.

    prepare: takes the configuration's values by name, and ``progress``. unit: what is counted. example: of what must be
    given.
    """
    # An exit would take the other shards of a multirun along, and Hydra shows this exception without a traceback.
    stop = CompactHydraException if HydraConfig.get().mode == RunMode.MULTIRUN else SystemExit
    if missing := OmegaConf.missing_keys(cfg):
        raise stop(f"error: {', '.join(missing)} must be given, for example {example}")
    container = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    assert isinstance(container, dict)
    options = {str(name): value for name, value in container.items()}

    def bar(results: Iterable[Any], total: int) -> Iterable[Any]:
        shard = "" if cfg.shard is None else f"shard {cfg.shard}"
        return tqdm(results, total=total, unit=unit, desc=shard, disable=not total)

    try:
        report = prepare(**options, progress=bar)
    except (OSError, ValueError, RuntimeError) as error:
        raise stop(f"error: {error}") from None
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        sys.exit(130)
    print(report, flush=True)
    if stop is SystemExit:
        sys.exit(0 if report.ok else 1)
    if not report.ok:
        raise stop(f"not every {unit} was taken, see above")
