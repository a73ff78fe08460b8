"""Lets a CUDA-built torchvision be imported beside a CPU-only torch.

PyPI's torchvision wheel for Linux is built for CUDA. Beside a CPU build of torch its compiled operators cannot be
loaded, and ``import torchvision`` dies with ``operator torchvision::nms does not exist`` although nothing here uses
that operator. Declaring the two operators that torchvision registers fake kernels for is enough. A torchvision whose
own operators load declares them itself, and declaring them twice is an error, so this acts only on the broken pair.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import torch

_SIGNATURES = {
    "nms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}


def _torchvision_is_cuda_build() -> bool:
    """Reads torchvision's ``version.py`` without importing torchvision."""
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        return False
    version_file = Path(spec.origin).with_name("version.py")
    if not version_file.is_file():
        return False
    return re.search(r"^__version__\s*=\s*['\"][^'\"]*\+cu", version_file.read_text(encoding="utf-8"), re.M) is not None


def declare_missing_operators() -> bool:
    """Declares torchvision's ``nms`` and ``qnms`` where its own library cannot; returns whether it did."""
    if "torchvision" in sys.modules or torch.version.cuda is not None or torch.version.hip is not None:
        return False
    if not _torchvision_is_cuda_build():
        return False
    for name, signature in _SIGNATURES.items():
        if not hasattr(torch.ops.torchvision, name):
            torch.library.define(f"torchvision::{name}", signature)
    return True
