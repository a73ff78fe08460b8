"""The names that ``calisketch`` itself offers, and what it costs to ask for them."""

from __future__ import annotations

import subprocess
import sys

import pytest

import calisketch


@pytest.mark.parametrize("name", calisketch.__all__)
def test_every_public_name_is_there_and_is_the_one_of_its_home(name: str) -> None:
    if name in ("CheckpointError", "Interrupted", "NonFiniteLoss", "OutOfMemory", "ProcessLost"):
        pytest.importorskip("lightning_fabric", reason="needs the extra `train`")
    value = getattr(calisketch, name)
    if name != "__version__":
        assert value.__module__.startswith("calisketch.")
        assert value.__name__ == name


def test_every_public_name_has_a_home() -> None:
    assert set(calisketch.__all__) - {"__version__"} == set(calisketch._HOME_OF)
    assert set(calisketch.__all__) <= set(dir(calisketch))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'CaliSketsch'"):
        _ = calisketch.CaliSketsch  # type: ignore[attr-defined]


def test_importing_the_package_imports_nothing_heavy_and_torchvision_builds_grids_after_it() -> None:
    code = (
        "import sys, calisketch; print([m for m in ('torchvision', 'kornia', 'skimage', 'cv2') if m in sys.modules]);"
        "import torch, torchvision; print(torchvision.utils.make_grid(torch.zeros(2, 3, 4, 4)).shape)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["[]", "torch.Size([3, 8, 14])"]


def test_declaring_torchvisions_operators_twice_is_harmless() -> None:
    from calisketch._torchvision_shim import declare_missing_operators

    assert declare_missing_operators() is False or "torchvision" not in sys.modules
