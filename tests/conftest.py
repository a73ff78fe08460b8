"""Fixtures that many tests share. What needs research data or third-party weights says plainly when they are absent."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import cv2
import pytest
import torch

from calisketch.boundary import alignment  # first: before anything imports torchvision

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"


with suppress(ImportError):  # where the extra `train` is
    import yaml
    from hydra._internal.hydra import Hydra

    if yaml.__with_libyaml__:  # OmegaConf builds its loader on this one: libyaml reads the same in less time
        yaml.SafeLoader = yaml.CSafeLoader  # type: ignore[misc]
    # Hydra composes every configuration twice, the first time to see whether it asks for a sweep. Within the process of
    # the tests none does; the processes that they start are as they are.
    Hydra.get_mode = lambda *_, **__: None  # type: ignore[method-assign]


def pytest_collection_finish() -> None:
    """What importing and collecting left stays: the garbage collector need not walk through it again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _few_threads() -> None:
    """One where other tests run beside these; two threads of each of two processes on two cores wait for each other."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        torch.set_num_threads(2)
        return
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # of processes that tests start


@pytest.fixture(scope="session", autouse=True)
def _interrupts_are_heard() -> None:
    """A shell starts what runs in its background with SIGINT ignored, and processes that tests start inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Networks as small as the tests' only lose by sharing their work, and long on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """In an empty folder of its own, and the number of threads is put back: for tests that run training commands."""
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def no_detector(monkeypatch: pytest.MonkeyPatch) -> None:
    """The face detector counts as absent: the same on every computer, whether its file is there or not."""
    monkeypatch.setattr(alignment, "detector_available", lambda: False)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture
def shared_weights(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder with third-party weights, put where calisketch.weights looks."""
    folder = Path(os.environ.get("CALISKETCH_WEIGHTS") or SHARED / "weights")
    if not (folder / "hed-bsds-retrained-fp16.safetensors").is_file():
        pytest.skip("needs the third-party weights (set CALISKETCH_WEIGHTS to their folder)")
    monkeypatch.setenv("CALISKETCH_WEIGHTS", str(folder))
    return folder


@pytest.fixture(scope="session")
def cuhk_root() -> Path:
    folder = Path(os.environ.get("CALISKETCH_CUHK") or SHARED / "data" / "cuhk")
    if not (folder / "photos").is_dir():
        pytest.skip("needs the CUHK student set (set CALISKETCH_CUHK to a folder with photos/ and sketches/)")
    return folder


@pytest.fixture(scope="session")
def general_root() -> list[Path]:
    """The folders of the general photos, with train, val and test in each."""
    data = Path(os.environ.get("CALISKETCH_DATA") or SHARED / "data")
    folders = [data / "faces-5100", data / "celebahq-1200"]
    if not all((folder / "test").is_dir() for folder in folders):
        pytest.skip("needs the general photos (set CALISKETCH_DATA to the folder of faces-5100 and celebahq-1200)")
    return folders


@pytest.fixture
def small_disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with room for eight megabytes, or for what the test gives as its parameter."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    command = [mount or "", "-t", "tmpfs", "-o", f"size={getattr(request, 'param', '8m')}", "tmpfs", str(folder)]
    if mount is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("needs the right to mount a small tmpfs")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)
