"""What tests start is a process as any other."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest
import warm_start

WAITING = "import time; print('on', flush=True); time.sleep(60)"


def test_it_has_its_own_folder_arguments_environment_streams_and_exit_status(tmp_path: Path) -> None:
    code = "import os, sys; print(os.getcwd(), sys.argv, os.environ['MINE']); sys.exit('bad')"
    environment = {**os.environ, "MINE": "yes"}
    done = warm_start.run(["-c", code, "a"], cwd=tmp_path, env=environment, timeout=300)
    assert (done.returncode, done.stdout, done.stderr) == (1, f"{tmp_path} ['-c', 'a'] yes\n", "bad\n")
    done = warm_start.run(["-c", "import os, torch; print(os.getpid() != os.getppid()); 1 / 0"], timeout=300)
    assert (done.returncode, done.stdout) == (1, "True\n")
    assert done.stderr.endswith("ZeroDivisionError: division by zero\n")


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
