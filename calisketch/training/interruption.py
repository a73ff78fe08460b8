"""A polite end: SIGINT and SIGTERM are noted, and the loop stops between two steps."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any


class Interrupted(RuntimeError):
    """SIGINT or SIGTERM ended the run after a finished step, and it was saved.

    Attributes:
        number: of the signal.
    """

    def __init__(self, message: str, number: int = int(signal.SIGINT)) -> None:
        super().__init__(message)
        self.number = number


class StopSignals:
    """Within this context the first SIGINT or SIGTERM sets ``received``; the second one acts as it always did."""

    def __init__(self) -> None:
        self.received: str | None = None
        self.number = int(signal.SIGINT)
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():  # elsewhere Python allows no handlers
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received, self.number = signal.Signals(number).name, number
        self._put_back()

    def _put_back(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._put_back()
