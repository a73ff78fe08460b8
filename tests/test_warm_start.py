"""What tests start is a process as any other."""

from __future__ import annotations

import os
import signal
import sys

import pytest
import warm_start

WAITING = "import time; print('on', flush=True); time.sleep(60)"


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_ends_it_as_it_would_end_any(number: signal.Signals) -> None:
    with warm_start.start(["-c", WAITING], start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "on\n"
        assert process.poll() is None
        os.killpg(process.pid, number)
        process.communicate(60)
        assert process.wait() == -number
