"""How a network is run: in which precision, rewritten for inference, and by which engine.

The default is the fastest way that is safe everywhere: the network in fewer operations (`networks.inference_form`), in
bfloat16 where the device is quick in it. With the default model and 32 drawings bfloat16 moves a face by .2 grey levels
in the mean and by 6 at most (MODEL_CARD.md); the images of a batch come out as each does alone.
"""

from __future__ import annotations

import copy
import logging
import os
import platform
import shutil
import weakref
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..networks import EncoderDecoder, MRUUNet
from .rewriting import for_inference

Precision = Literal["auto", "fp32", "bf16"]
Engine = Literal["eager", "compiled", "openvino"]
Run = Callable[[Tensor], Tensor]

#: Networks whose answer in bfloat16 was compared with that in float32, and what derives from them; "auto" leaves others
#: in float32.
HALF_PRECISION_NETWORKS: tuple[type[nn.Module], ...] = (EncoderDecoder, MRUUNet)
LEAST_SIDE = 128
"""Below this side "auto" stays in float32: there is little time to win."""

_CPU_INFO = Path("/proc/cpuinfo")
_LOG = logging.getLogger("calisketch")


class Framed(nn.Module):
    """A network on (B, I, side, side) ink: padded with paper to a side it takes, cut back, in [0, 1], float32.

    Args:
        network: (B, I, H, W) -> (B, C, H, W); `divisor` and `minimum_side` say which sides it takes. Where it is given
            more than ink (I = 1), 0 must mean nothing there, too.
        side: of the images.
        dtype: the network's.
    """

    def __init__(self, network: nn.Module, side: int, dtype: torch.dtype = torch.float32):
        super().__init__()
        self.network, self.side, self.dtype = network, side, dtype
        divisor, least = getattr(network, "divisor", 1), getattr(network, "minimum_side", 1)
        self.missing = -(-max(side, least) // divisor) * divisor - side

    def forward(self, ink: Tensor) -> Tensor:
        """(B, I, side, side) -> (B, C, side, side)."""
        before, side = self.missing // 2, self.side
        padded = functional.pad(ink, [before, self.missing - before] * 2) if self.missing else ink
        answer = self.network(padded.to(self.dtype)).float()
        return answer[..., before : before + side, before : before + side].clamp(0, 1)


class Computing:
    """Runs networks in the precision and by the engine that were asked for.

    What a network needs to be run so is made at its first run, and kept for as long as the network is; it is made anew
    when the network's weights have been changed or moved since.

    Args:
        side: of the images.
        precision: "auto", "fp32" or "bf16".
        engine: "eager" runs at once. "compiled" (torch.compile) is made at the first run of each network, which takes
            about half a minute; on a CPU it needs a C++ compiler. "openvino" (the extra `export`) is made likewise, in
            seconds, and runs on a CPU. On a CPU both take the images one at a time.

    Raises:
        ValueError: another precision or engine.
        ModuleNotFoundError: a package that "openvino" needs is not installed.
    """

    def __init__(self, side: int, precision: Precision = "auto", engine: Engine = "eager"):
        if precision not in get_args(Precision):
            raise ValueError(f"precision must be one of {', '.join(get_args(Precision))}; got {precision!r}.")
        if engine not in get_args(Engine):
            raise ValueError(f"engine must be one of {', '.join(get_args(Engine))}; got {engine!r}.")
        if engine == "openvino":
            from .onnx_graph import need_extra

            need_extra()
        self.side, self.asked, self.engine = side, precision, engine
        self._made: weakref.WeakKeyDictionary[nn.Module, tuple[object, Run]] = weakref.WeakKeyDictionary()

    def __reduce__(self) -> tuple[type[Computing], tuple[int, Precision, Engine]]:
        return Computing, (self.side, self.asked, self.engine)  # a copy makes anew what it needs

    def check(self, device: torch.device) -> None:
        """Raises ValueError where the engine cannot compute on a device, as the first run there would."""
        if self.engine == "openvino" and device.type != "cpu":
            raise ValueError(f"engine='openvino' computes on the CPU; got the device {str(device)!r}. Use 'eager'.")
        if self.engine == "compiled":
            need_compiler(device)

    def precision(self, network: nn.Module, device: torch.device) -> str:
        """What a network is run in on a device: "fp32" or "bf16"."""
        if self.asked != "auto":
            return self.asked
        fit = isinstance(network, HALF_PRECISION_NETWORKS) and self.side >= LEAST_SIDE
        return "bf16" if fit and has_bf16(device) else "fp32"

    @torch.inference_mode()
    def run(self, network: nn.Module, ink: Tensor, device: str | torch.device | None = None) -> Tensor:
        """(B, I, side, side) ink -> (B, C, side, side) in [0, 1], float32, on the device.

        Args:
            ink: with as many channels as the network takes; the same in every call.
            device: where to compute; None: where the network is. Elsewhere what it needs is made for this call alone.

        Raises:
            ValueError: there is no such device, or the engine does not compute on it.
        """
        here = device_of(network) if device is None else checked_device(device)
        network = on_device(network, here)
        weights, (made_of, run) = _state_of(network), self._made.get(network, (None, None))
        if run is None or made_of != weights:
            run = self._make(network, here, ink.shape[1])
            self._made[network] = weights, run
        ink = ink.to(here)
        if self.engine != "eager" and here.type == "cpu":
            return torch.cat([run(each[None]) for each in ink])
        return run(ink)

    @torch.inference_mode(False)  # whose tensors the exporter and the compiler do not take
    @torch.no_grad()
    def _make(self, network: nn.Module, device: torch.device, channels: int) -> Run:
        self.check(device)
        precision = self.precision(network, device)
        _LOG.info("%s runs in %s (%s) on %s", type(network).__name__, precision, self.engine, device)
        if self.engine == "openvino":
            from .onnx_graph import openvino_run

            return openvino_run(Framed(for_inference(network), self.side), self.side, precision, channels)
        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        form = Framed(for_inference(network, dtype), self.side, dtype)
        if self.engine == "eager":
            return form
        # Frozen weights are laid out for the convolutions once, for one shape.
        if device.type == "cpu":
            return torch.compile(form, dynamic=False, options={"freezing": True})
        return torch.compile(form)


@lru_cache(maxsize=8)
def has_bf16(device: torch.device) -> bool:
    """Whether a device has arithmetic in bfloat16 that is worth its rounding.

    On a CPU that is Intel's AMX, or AVX-512's bf16 of other makers. Intel's own AVX-512 bf16 was measured to be no
    quicker than float32 where virtual machines hide AMX: `tools/benchmark.py` tells of a machine.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    if getattr(torch.cpu, "_is_amx_tile_supported", bool)():
        return True
    return getattr(torch.cpu, "_is_avx512_bf16_supported", bool)() and "intel" not in _processor().lower()


def _processor() -> str:
    """The CPU's maker and name; "" where nothing tells them."""
    asked = getattr(torch.cpu, "get_capabilities", None)  # of newer PyTorch
    told = asked().get("cpu_name") if asked else None
    if told is None and _CPU_INFO.is_file():
        lines = _CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines()
        told = " ".join(
            line.partition(":")[2].strip() for line in lines if line.startswith(("vendor_id", "model name"))
        )
    return platform.processor() if told is None else str(told)


def need_compiler(device: torch.device) -> None:
    """Raises ValueError where torch.compile would find no C++ compiler for the CPU."""
    names = [os.environ.get("CXX", ""), "g++", "clang++", "c++", "cl"]
    if device.type == "cpu" and not any(name and shutil.which(name.split()[0]) for name in names):
        raise ValueError(
            "engine='compiled' needs a C++ compiler (g++ or clang++) on a CPU, and none was found. Install one, name "
            "it in CXX, or use engine='eager'."
        )


def best_device() -> torch.device:
    """The GPU if there is one, NVIDIA's ("cuda") or Apple's ("mps"); else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def drawing_device(device: torch.device) -> torch.device:
    """Where sketches are drawn for a device: there, or on the CPU where it may have no double precision."""
    return device if device.type == "cuda" else torch.device("cpu")


def checked_device(device: str | torch.device) -> torch.device:
    """A device that there is, "auto" for `best_device`; ValueError where there is none of that name."""
    if device == "auto":
        device = best_device()
    try:
        checked = torch.device(device)
        torch.empty(0, device=checked)
    except (RuntimeError, AssertionError, TypeError) as error:
        raise ValueError(
            f"cannot compute on the device {str(device)!r}: {str(error).splitlines()[0].rstrip('.')}. Use 'cpu', or "
            "install a build of PyTorch for that device."
        ) from error
    return checked


def device_of(network: nn.Module) -> torch.device:
    """Where a network is; one without parameters is on the CPU."""
    return next(iter(network.parameters()), torch.empty(0)).device


def _state_of(network: nn.Module) -> list[tuple[int, int]]:
    """Where each weight lies and how often it was written to: another state after load_state_dict, a step or a move."""
    return [
        (tensor.data_ptr(), 0 if tensor.is_inference() else tensor._version)
        for tensor in (*network.parameters(), *network.buffers())
    ]


def on_device(network: nn.Module, device: torch.device) -> nn.Module:
    """The network where it is on the device already, else a copy there."""
    return network if device_of(network) == device else copy.deepcopy(network).to(device)
