"""A polite end: SIGINT, SIGTERM and SIGHUP are noted, and the loop stops between two steps."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any


class Interrupted(RuntimeError):
    """SIGINT, SIGTERM or SIGHUP ended the run after a finished step, and it was saved.

    Attributes:
        number: of the signal.
    """

    def __init__(self, message: str, number: int = int(signal.SIGINT)) -> None:
        super().__init__(message)
        self.number = number


SIGNALS = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
SAME_REQUEST = 1.0  # seconds


class StopSignals:
    """Within this context the first SIGINT, SIGTERM or SIGHUP sets ``received``; a second one acts as it always did.

    A second one is one of the same kind: a launcher passes Ctrl-C on as SIGTERM, to processes that the terminal has
    already sent SIGINT. SIGHUP comes from the shell and from the terminal itself when that is closed, so it has no
    second one. torchrun passes signals on that may have come here directly too, and has SIGKILL for an end at once:
    under it SIGTERM has no second one either, and SIGINT only after a second's time. A signal that the process was
    started to ignore, such as SIGHUP under nohup, stays ignored; one that a program around Python handles, is its own.

    Args:
        announce: say on standard error that the end is near.
    """

    def __init__(self, *, announce: bool = False) -> None:
        self.announce = announce
        self.received: str | None = None
        self.number = int(signal.SIGINT)
        self._since = 0.0
        self._torchrun = "TORCHELASTIC_RUN_ID" in os.environ
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():  # elsewhere Python allows no handlers
            for number in SIGNALS:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._before[number] = signal.signal(number, self._note)
        return self

    def _note(self, number: int, frame: FrameType | None) -> None:
        first = self.received is None
        if first:
            self._since = time.monotonic()
            self.received, self.number = signal.Signals(number).name, number
        if number in self._before and not self._torchrun and number != getattr(signal, "SIGHUP", None):
            signal.signal(number, self._before.pop(number))
        elif not first and self._ends_at_once(number):
            if number in self._before:
                signal.signal(number, self._before.pop(number))
            os.kill(os.getpid(), number)
        if first and self.announce:
            again = "; Ctrl-C again stops at once, without saving" if number == signal.SIGINT else ""
            with suppress(OSError):  # the terminal may be what was closed
                os.write(2, f"\n{self.received}: saves and stops after this step{again}.\n".encode())

    def _ends_at_once(self, number: int) -> bool:
        """Whether a further signal is a wish of its own; one that came while the first was noted has got here too."""
        if self._torchrun:
            return number == signal.SIGINT and time.monotonic() > self._since + SAME_REQUEST
        return number not in self._before

    def _put_back(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._put_back()
