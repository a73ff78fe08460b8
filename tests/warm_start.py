"""Processes that start at once: one process has torch and the package imported, and forks for each that a test starts.

Importing both takes a core some five seconds, and dozens of tests start a process. What is forked is a process of its
own, with its own folder, environment, streams, signals, exit status and children; only the imports are there already.
Tests of what an import does, or of what stands before it, start a real one.

As a script it is the process that forks: python warm_start.py DESCRIPTOR.
"""

from __future__ import annotations

import atexit
import hashlib
import importlib
import json
import os
import random
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

MODULES = ("train", "prepare", "evaluate", "compare")  # of calisketch.commands
_source: subprocess.Popen[bytes] | None = None
_line: socket.socket | None = None
_folder: tempfile.TemporaryDirectory[str] | None = None


def start(
    command: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdout: int = subprocess.PIPE,
    stderr: int = subprocess.PIPE,
    start_new_session: bool = False,
) -> Process:
    """What ``subprocess.Popen`` with ``text=True`` does, for [SCRIPT, ...], ["-m", MODULE, ...], ["-c", CODE, ...]."""
    global _source, _line
    if _source is None or _line is None or _source.poll() is not None:
        _line, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        _source = subprocess.Popen(
            [sys.executable, __file__, str(far.fileno())],
            pass_fds=[far.fileno()],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
        )
        far.close()
        atexit.register(_line.close)
    own: list[IO[str] | None] = []
    given: list[int] = []
    for kind in (stdout, stderr):
        if kind == subprocess.PIPE:
            read, write = os.pipe()
            own.append(open(read, encoding="utf-8", errors="backslashreplace"))  # noqa: SIM115
            given.append(write)
        else:
            own.append(None)
            given.append(os.dup(given[0]) if kind == subprocess.STDOUT else os.open(os.devnull, os.O_WRONLY))
    told, telling = os.pipe()
    given_command = list(command)
    if given_command[0] == "-c":  # its code in a file, which stays until the tests end
        given_command[1] = _kept(given_command[1])
    job = {"command": given_command, "cwd": str(cwd or Path.cwd()), "env": dict(env or os.environ)}
    job["session"] = start_new_session
    socket.send_fds(_line, [json.dumps(job).encode()], [*given, telling])
    for descriptor in (*given, telling):
        os.close(descriptor)
    return Process(told, *own)


def _kept(code: str) -> str:
    """The path of a file with this code."""
    global _folder
    if _folder is None:
        _folder = tempfile.TemporaryDirectory(prefix="warm-start-")
    path = Path(_folder.name) / f"{hashlib.sha256(code.encode()).hexdigest()}.py"
    path.write_text(code, encoding="utf-8")
    return str(path)


def run(command: Sequence[str], *, timeout: float, **options: Any) -> subprocess.CompletedProcess[str]:
    """What ``subprocess.run`` with ``capture_output=True`` and ``text=True`` does."""
    process = start(command, **options)
    output, errors = process.communicate(timeout)
    return subprocess.CompletedProcess(list(command), process.wait(), output, errors)


class Process:
    """A process that was started, with the part of ``subprocess.Popen`` that tests use."""

    def __init__(self, told: int, stdout: IO[str] | None, stderr: IO[str] | None) -> None:
        self.stdout, self.stderr = stdout, stderr
        self.returncode: int | None = None
        self._told = open(told, encoding="ascii")  # noqa: SIM115
        self.pid = int(self._told.readline())

    def poll(self) -> int | None:
        """Its exit status, None while it runs."""
        if self.returncode is None and select.select([self._told], [], [], 0)[0]:
            self.wait()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status, less than 0 for a signal, when it has ended."""
        if self.returncode is None:
            if not select.select([self._told], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
            self.returncode = int(self._told.readline())
            self._told.close()
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """What is left of what it says, when it has ended."""
        end = None if timeout is None else time.monotonic() + timeout
        said = ["", ""]

        def take(place: int, stream: IO[str]) -> None:
            said[place] = stream.read()

        readers = [
            threading.Thread(target=take, args=(place, stream), daemon=True)
            for place, stream in enumerate((self.stdout, self.stderr))
            if stream is not None
        ]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join(None if end is None else max(0.0, end - time.monotonic()))
            if reader.is_alive():
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        self.wait(None if end is None else max(1.0, end - time.monotonic()))
        return said[0], said[1]

    def send_signal(self, number: int) -> None:
        """Sends it a signal, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Sends it SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Sends it SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self.wait()
        for stream in (self.stdout, self.stderr):
            if stream is not None:
                stream.close()


def serve(line: socket.socket) -> None:
    """Forks for each job that comes; ends when the other side is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the tests, and their end this process
    for name in MODULES:
        importlib.import_module(f"calisketch.commands.{name}")
    while True:
        message, descriptors, _, _ = socket.recv_fds(line, 2**20, 3)
        if not message:
            return
        if os.fork() == 0:
            line.close()
            _watch(json.loads(message), *descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass


def _watch(job: dict[str, Any], stdout: int, stderr: int, telling: int) -> None:
    """The started process's parent: says its number, and how it ended."""
    child = os.fork()
    if child == 0:
        os.close(telling)
        _become(job, stdout, stderr)
    os.close(stdout)
    os.close(stderr)
    os.write(telling, f"{child}\n".encode())
    _, status = os.waitpid(child, 0)
    os.write(telling, f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def _become(job: dict[str, Any], stdout: int, stderr: int) -> None:
    """This process as its command would find itself; does not return."""
    if job["session"]:
        os.setsid()
    for number, descriptor in ((1, stdout), (2, stderr)):
        os.dup2(descriptor, number)
        os.close(descriptor)
    # As Python makes them for a pipe: those of before believe that they can seek.
    sys.stdout = sys.__stdout__ = open(1, "w", encoding="utf-8", closefd=False)  # type: ignore[misc]  # noqa: SIM115
    sys.stderr = sys.__stderr__ = open(  # type: ignore[misc]  # noqa: SIM115
        2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False
    )
    os.chdir(job["cwd"])
    os.environ.clear()
    os.environ.update(job["env"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    random.seed()
    kind, *arguments = job["command"]
    status = 0
    try:
        if kind == "-c":
            sys.path[0], sys.argv = "", ["-c", *arguments[1:]]
            runpy.run_path(arguments[0], run_name="__main__")
        elif kind == "-m":
            sys.path[0], sys.argv = job["cwd"], arguments
            runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
        else:
            sys.path[0], sys.argv = str(Path(kind).parent), [kind, *arguments]
            runpy.run_path(kind, run_name="__main__")
    except SystemExit as end:
        if end.code is not None and not isinstance(end.code, int):
            print(end.code, file=sys.stderr)
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        traceback.print_exc()
        sys.stderr.flush()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:
        traceback.print_exc()
        status = 1
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(status & 0xFF)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
