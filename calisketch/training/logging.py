"""Where a run's figures go: a JSONL file, the terminal, and Weights & Biases when it can be had."""

from __future__ import annotations

import json
import math
import netrc
import os
import sys
import time
import uuid
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from PIL import Image
from tqdm import tqdm

from ..whole_files import written_whole

WANDB_MODES = ("auto", "online", "offline", "disabled")


class MetricsFile:
    """A run's figures, one JSON object a line, each flushed as it is written.

    total: steps of the whole run that are restored: lines of later steps, which will be run again, are removed.
    """

    def __init__(self, path: Path, total: int = 0) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            kept = [line for line in path.read_text().splitlines() if _is_upto(line, total)]
            try:
                with written_whole(path) as aside:
                    aside.write_text("".join(f"{line}\n" for line in kept))
            except OSError as error:
                raise _unwritable(path, error) from error
        self.path = path
        self._file = open(path, "ab", buffering=0)  # noqa: SIM115 - closed by close(); a line is written at once or not

    def write(self, record: Mapping[str, Any]) -> None:
        """Adds one line; numbers that are not finite become null.

        Raises OSError: a full disk, say; what part of the line came through is taken out when the run is resumed.
        """
        line = memoryview((json.dumps(_finite(record)) + "\n").encode())
        try:
            while line:  # a disk that is almost full takes a part, and only then fails
                line = line[self._file.write(line) :]
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


class Terminal:
    """A progress bar with the time left, or, when the output is no terminal, plain lines; to standard error."""

    def __init__(self, *, quiet: bool = False, stream: TextIO | None = None) -> None:
        self.quiet = quiet
        self.stream = stream or sys.stderr
        self._bar: tqdm[Any] | None = None
        self._stage = ""
        self._steps = 0
        self._first = 0
        self._start = 0.0

    def say(self, message: str) -> None:
        """One line of text."""
        if self.quiet:
            return
        try:
            if self._bar is not None:
                self._bar.write(message, file=self.stream)
            else:
                print(message, file=self.stream, flush=True)
        except OSError:  # the terminal was closed, which is no reason to lose a run: metrics.jsonl goes on
            self.quiet, self._bar = True, None

    def begin(self, stage: str, steps: int, done: int) -> None:
        """A stage of ``steps`` steps starts, or goes on after ``done`` of them."""
        self._stage, self._steps, self._first, self._start = stage, steps, done, time.monotonic()
        if not self.quiet and self.stream.isatty():
            self._bar = tqdm(total=steps, initial=done, desc=stage, file=self.stream, dynamic_ncols=True, leave=True)

    def advance(self) -> None:
        """One step is done."""
        try:
            if self._bar is not None:
                self._bar.update()
        except OSError:
            self.quiet, self._bar = True, None

    def show(self, step: int, record: Mapping[str, Any]) -> None:
        """The figures of a logged step."""
        if self.quiet:
            return
        figures = summary(record)
        if self._bar is not None:
            self._bar.set_postfix_str(figures)
            return
        spent = time.monotonic() - self._start
        left = spent / max(step - self._first, 1) * (self._steps - step)
        self.say(f"{self._stage} {step}/{self._steps}  {figures}  {tqdm.format_interval(left)} left")

    def end(self) -> None:
        """The stage is over."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class Tracker:
    """Weights & Biases, which may never ask a question nor stop a run: whatever fails becomes one warning.

    Args:
        mode: "auto" is online if a key is configured (WANDB_API_KEY or netrc), else offline; "online", "offline",
            "disabled" as they say.
        run_dir: where the offline files and the run's identity are kept, so that a resumed run is the same run.
        project, name, config: of W&B, of the run, and what to show beside the curves.

    Raises:
        ValueError: another mode.
    """

    def __init__(
        self,
        mode: str,
        run_dir: Path,
        *,
        project: str = "calisketch",
        name: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        if mode not in WANDB_MODES:
            raise ValueError(f"wandb.mode must be one of {list(WANDB_MODES)}; got {mode!r}.")
        self._run: Any = None
        if mode == "disabled":
            return
        online = mode in ("auto", "online") and _has_key()
        if mode == "online" and not online:
            warnings.warn("wandb.mode=online, but no key is configured: logging offline.", stacklevel=2)
        try:
            os.environ.setdefault("WANDB_SILENT", "true")
            import wandb

            self._run = wandb.init(
                project=project,
                name=name,
                dir=str(run_dir),
                mode="online" if online else "offline",
                id=_identity(run_dir),
                resume="allow" if online else None,
                config=dict(config or {}),
                settings=wandb.Settings(console="off", silent=True, init_timeout=30),
            )
        except Exception as error:
            self._give_up(error)

    def log(self, record: Mapping[str, Any], total: int) -> None:
        """Figures of a step of the whole run."""
        self._try({key: value for key, value in flatten(record).items() if not isinstance(value, str)}, total)

    def picture(self, name: str, picture: Image.Image, total: int) -> None:
        """A preview grid."""
        self._try({name: picture}, total)

    def close(self) -> None:
        """Ends the W&B run."""
        if self._run is not None:
            try:
                self._run.finish()
            except Exception as error:
                self._give_up(error)
            self._run = None

    def _try(self, figures: dict[str, Any], total: int) -> None:
        if self._run is None:
            return
        try:
            for name, picture in figures.items():
                if isinstance(picture, Image.Image):
                    import wandb

                    figures = {**figures, name: wandb.Image(picture)}
            self._run.log(figures, step=total)
        except Exception as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        self._run = None
        warnings.warn(f"W&B is left out of this run: {type(error).__name__}: {error}", stacklevel=3)


class Logs:
    """The three together, as the loop uses them; the file and W&B are None on all processes but the first."""

    def __init__(self, terminal: Terminal, metrics: MetricsFile | None, tracker: Tracker | None) -> None:
        self.terminal, self.metrics, self.tracker = terminal, metrics, tracker

    def write(self, record: Mapping[str, Any], total: int) -> None:
        """A record to the file and to W&B."""
        if self.metrics is not None:
            self.metrics.write(record)
        if self.tracker is not None:
            self.tracker.log(record, total)

    def picture(self, name: str, picture: Image.Image, total: int) -> None:
        """A picture to W&B."""
        if self.tracker is not None:
            self.tracker.picture(name, picture, total)

    def close(self) -> None:
        """Closes all three."""
        self.terminal.end()
        if self.metrics is not None:
            self.metrics.close()
        if self.tracker is not None:
            self.tracker.close()


def summary(record: Mapping[str, Any]) -> str:
    """A record's figures on one line."""
    parts = []
    for group in ("discriminator", "generator"):
        parts += [f"{name} {value:.4g}" for name, value in record.get(group, {}).items()]
    scores = record.get("scores", {})
    parts += [f"{name} {value:.2f}" for name, value in scores.items()]
    if "images_per_second" in record:
        parts.append(f"{record['images_per_second']:.3g} images/s")
    return "  ".join(parts)


def flatten(record: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested names joined with a slash."""
    result: dict[str, Any] = {}
    for key, value in record.items():
        if isinstance(value, Mapping):
            result |= flatten(value, f"{prefix}{key}/")
        else:
            result[f"{prefix}{key}"] = value
    return result


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """A run's figures, in the order they were written; a line cut off by a kill is left out."""
    return [record for line in path.read_text().splitlines() if (record := _parse(line)) is not None]


def _unwritable(path: Path, error: OSError) -> OSError:
    return OSError(
        f"{path} cannot be written: {error}. The last checkpoint is intact: mend that, and run the same command again."
    )


def _parse(line: str) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except json.JSONDecodeError:
        return None
    return record if isinstance(record, dict) else None


def _is_upto(line: str, total: int) -> bool:
    record = _parse(line)
    return record is not None and record.get("total", 0) <= total


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _has_key() -> bool:
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai").split("//")[-1].split("/")[0]
    try:
        return netrc.netrc().authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False


def _identity(run_dir: Path) -> str:
    path = run_dir / "wandb-id"
    known = path.read_text().strip() if path.exists() else ""
    if not known:  # also after a kill between making the file and filling it
        known = uuid.uuid4().hex[:12]
        path.write_text(known)
    return known
