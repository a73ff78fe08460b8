from __future__ import annotations

import subprocess
import sys


def test_torchvision_imports_and_builds_grids_after_calisketch() -> None:
    code = "import calisketch, torch, torchvision; print(torchvision.utils.make_grid(torch.zeros(2, 3, 4, 4)).shape)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    assert "torch.Size([3, 8, 14])" in done.stdout


def test_declaring_twice_is_harmless() -> None:
    from calisketch._torchvision_shim import declare_missing_operators

    assert declare_missing_operators() is False or "torchvision" not in sys.modules
