"""What it costs to paint one face: each way of running a network beside eager float32, alternated in one process."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from benchmark_timing import alternated, peak_memory_mb, seconds, summary
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from calisketch.computing import Computing, Framed, has_bf16
from calisketch.networks import EncoderDecoder
from calisketch.networks.inference_form import for_inference
from calisketch.onnx_graph import onnxruntime_run, to_onnx

BASELINE = "eager fp32"
Run = Callable[[Tensor], Tensor]


def ways(network: nn.Module, size: int, device: torch.device) -> dict[str, Callable[[], Run]]:
    """Each way of running a network by its name, to be made when its turn comes."""
    plain = Framed(network, size)

    def autocast(ink: Tensor) -> Tensor:
        with torch.autocast(device.type, torch.bfloat16):
            return plain(ink)

    def by(**asked: Any) -> Callable[[], Run]:
        def made() -> Run:
            computing = Computing(size, **asked)
            return lambda ink: computing.run(network, ink)

        return made

    def onnxruntime() -> Run:
        form = Framed(for_inference(network), size)
        graph = to_onnx(form, {"ink": torch.zeros(2, 1, size, size)}, ["image"], ["ink"])
        run = onnxruntime_run(graph.SerializeToString())
        return lambda ink: torch.from_numpy(np.asarray(run(ink=ink.numpy())[0]))

    found = {
        BASELINE: lambda: plain,
        "eager bf16 autocast": lambda: autocast,
        "rewritten fp32": by(precision="fp32"),
        "the default": by(),
        "compiled": by(engine="compiled"),
    }
    if device.type == "cpu":  # their engines compute there
        found |= {
            "ONNX Runtime fp32": onnxruntime,
            "OpenVINO fp32": by(engine="openvino", precision="fp32"),
            "OpenVINO": by(engine="openvino"),
        }
    return found


def generator(width: int, device: torch.device) -> nn.Module:
    """The paper's ISN generator with random weights."""
    torch.manual_seed(0)
    return EncoderDecoder(1, 3, width, head="tanh").eval().requires_grad_(False).to(device)


def drawing(batch: int, size: int, device: torch.device) -> Tensor:
    return (torch.rand(batch, 1, size, size, generator=torch.Generator().manual_seed(0)) > 0.93).float().to(device)


def gmac(module: nn.Module, ink: Tensor) -> float:
    """Multiplications of one image, in 10^9."""
    meta = copy.deepcopy(module).to("meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        meta(ink[:1].to("meta"))
    return counter.get_total_flops() / 2e9


def bf16_peak(device: torch.device, repeats: int) -> dict[str, float]:
    """GMAC/s of a large matrix product and of the generator's own residual convolution, both in bfloat16."""
    side = 2048 if device.type == "cpu" else 8192
    batch = 1 if device.type == "cpu" else 64
    matrix = torch.randn(side, side, device=device, dtype=torch.bfloat16)
    image = torch.randn(batch, 256, 66, 66, device=device, dtype=torch.bfloat16)
    image = image.contiguous(memory_format=torch.channels_last)
    kernel = torch.randn(256, 256, 3, 3, device=device, dtype=torch.bfloat16)
    kernel = kernel.contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        took = alternated(
            {"matmul": lambda: matrix @ matrix, "convolution": lambda: functional.conv2d(image, kernel)},
            repeats,
            device,
        )
    count = {"matmul": side**3, "convolution": batch * 64 * 64 * 256 * 256 * 9}
    return {name: count[name] / min(each) / 1e9 for name, each in took.items()}


def measure(way: str, size: int, width: int, batch: int, repeats: int, device: torch.device) -> dict[str, Any]:
    """One way: its memory first, alone; then its time and the baseline's in turn."""
    network, ink = generator(width, device), drawing(batch, size, device)
    offered = ways(network, size, device)
    with torch.inference_mode():
        before = peak_memory_mb(device)
        made: list[Run] = []
        first = seconds(lambda: (made.append(offered[way]()), made[0](ink)), device)
        run = made[0]
        answer = run(ink)
        memory = peak_memory_mb(device)
        plain = offered[BASELINE]()
        difference = (answer - plain(ink)).abs().float().cpu() * 255
        took = alternated({BASELINE: lambda: plain(ink), way: lambda: run(ink)}, repeats, device)
    plainly = way in (BASELINE, "eager bf16 autocast")
    work = gmac(Framed(network if plainly else for_inference(network), size), ink)
    peak = bf16_peak(device, max(2, repeats // 2))
    median = summary(took[way])["median_s"]
    return {
        **summary(took[way]),
        "images_per_second": batch / median,
        "baseline": summary(took[BASELINE]),
        "times_faster": summary(took[BASELINE])["median_s"] / median,
        "precision": _precision(way, network, size, device),
        "first_call_s": first,
        "peak_memory_mb": memory,
        "memory_before_mb": before,
        "gmac": work,
        "bf16_peak_gmac_per_s": peak,
        "share_of_bf16_peak": work * batch / median / max(peak.values()),
        "grey_levels_from_fp32": {"max": float(difference.max()), "mean": float(difference.mean())},
        "bf16_in_hardware": has_bf16(device),
    }


def _precision(way: str, network: nn.Module, size: int, device: torch.device) -> str:
    if way in ("the default", "compiled", "OpenVINO"):
        return Computing(size).precision(network, device)
    return "bf16" if "bf16" in way else "fp32"
