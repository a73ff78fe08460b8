"""One writer to a folder at a time, whatever becomes of it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .checkpoint import CheckpointError

WAIT = 15.0  # seconds: the data-loading processes of a killed run live on for a few, and hold its lock


@contextmanager
def only_writer(
    folder: Path, *, wait: float = WAIT, say: Callable[[str], None] = lambda message: None
) -> Iterator[None]:
    """Holds a lock on an existing folder; the kernel releases it when the process ends, however it ends.

    Nothing is written there. Where the system or the file system has no such locks (Windows, some network folders)
    nothing is locked. wait: seconds for a holder to end. say: gets one line when there is something to wait for.

    Raises CheckpointError: another process holds it.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        begun = time.monotonic()
        said = False
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not said and wait:
                    say(
                        f"another process is at work in {folder.parent}: waiting for its end, {wait:.0f} s at the most."
                    )
                said = True
                if time.monotonic() > begun + wait:
                    raise CheckpointError(
                        f"another process is training in {folder.parent}. Wait for its end or stop it, or give another "
                        "run_dir."
                    ) from None
                time.sleep(0.2)
            except OSError:  # not supported here
                break
        yield
    finally:
        os.close(descriptor)
