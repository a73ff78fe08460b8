"""What it costs to paint one face: each way of running networks beside eager float32, alternated in one process."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from calisketch.boundary.colours import CHANNELS, takes_colours
from calisketch.inference.computing import Computing, Framed, has_bf16
from calisketch.inference.onnx_graph import onnxruntime_run, to_onnx
from calisketch.inference.rewriting import for_inference
from calisketch.networks import EncoderDecoder
from tools.benchmark.timing import alternated, peak_memory_mb, seconds, summary

BASELINE = "eager fp32"
PLAIN = (BASELINE, "eager bf16 autocast")
"""The ways that run networks as they were trained; all others rewrite them."""

Run = Callable[[Tensor], Tensor]


class Chain(nn.Module):
    """Networks one after the other: S -> R -> P, or one alone.

    Args:
        networks: in their order. One that takes colours is given none.
        side: of the images.
    """

    def __init__(self, networks: Sequence[nn.Module], side: int):
        super().__init__()
        self.framed = nn.ModuleList(Framed(network, side) for network in networks)

    def forward(self, ink: Tensor) -> Tensor:
        """(B, 1, side, side) ink -> (B, C, side, side) in [0, 1]."""
        for framed in self.framed:
            ink = framed(seen_by(framed.network, ink))  # type: ignore[arg-type]
        return ink


def seen_by(network: nn.Module, ink: Tensor) -> Tensor:
    """What a network is given of (B, 1, H, W) ink: no colours beside it, where it takes any."""
    return functional.pad(ink, [0, 0, 0, 0, 0, CHANNELS]) if takes_colours(network) else ink


def ways(networks: Sequence[nn.Module], size: int, device: torch.device) -> dict[str, Callable[[], Run]]:
    """Each way of running a chain of networks by its name, to be made when its turn comes."""
    plain = Chain(networks, size)

    def autocast(ink: Tensor) -> Tensor:
        with torch.autocast(device.type, torch.bfloat16):
            return plain(ink)

    def by(**asked: Any) -> Callable[[], Run]:
        def made() -> Run:
            computing = Computing(size, **asked)

            def run(ink: Tensor) -> Tensor:
                for network in networks:
                    ink = computing.run(network, seen_by(network, ink))
                return ink

            return run

        return made

    def onnxruntime() -> Run:
        graph = to_onnx(rewritten(networks, size), {"ink": torch.zeros(2, 1, size, size)}, ["image"], ["ink"])
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


def rewritten(networks: Sequence[nn.Module], size: int) -> Chain:
    return Chain([for_inference(network) for network in networks], size)


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


def measure(
    way: str, networks: Sequence[nn.Module], inks: Sequence[Tensor], repeats: int, device: torch.device
) -> dict[str, Any]:
    """One way: its memory first, alone; then its time and the baseline's in turn.

    Args:
        way: one of `ways`.
        networks: on the device, one after the other, as in `Chain`.
        inks: batches (B, 1, size, size) of one size, on the device. Times are of the first, grey levels of all.
        repeats: of each.
        device: to compute on.
    """
    ink, size = inks[0], inks[0].shape[-1]
    offered = ways(networks, size, device)
    with torch.inference_mode():
        before = peak_memory_mb(device)
        made: list[Run] = []
        first = seconds(lambda: (made.append(offered[way]()), made[0](ink)), device)
        run = made[0]
        run(ink)
        memory = peak_memory_mb(device)
        plain = offered[BASELINE]()
        difference = torch.cat([(run(each) - plain(each)).abs().float().cpu() * 255 for each in inks])
        took = alternated({BASELINE: lambda: plain(ink), way: lambda: run(ink)}, repeats, device)
    work = gmac(Chain(networks, size) if way in PLAIN else rewritten(networks, size), ink)
    peak = bf16_peak(device, max(2, repeats // 2))
    median = summary(took[way])["median_s"]
    return {
        **summary(took[way]),
        "images_per_second": len(ink) / median,
        "baseline": summary(took[BASELINE]),
        "times_faster": summary(took[BASELINE])["median_s"] / median,
        "precision": precision_of(way, networks, size, device),
        "first_call_s": first,
        "peak_memory_mb": memory,
        "memory_before_mb": before,
        "gmac": work,
        "bf16_peak_gmac_per_s": peak,
        "share_of_bf16_peak": work * len(ink) / median / max(peak.values()),
        "grey_levels_from_fp32": {"max": float(difference.max()), "mean": float(difference.mean())},
        "bf16_in_hardware": has_bf16(device),
    }


def precision_of(way: str, networks: Sequence[nn.Module], size: int, device: torch.device) -> str:
    if way in ("the default", "compiled", "OpenVINO"):
        computing = Computing(size)
        return ", ".join(dict.fromkeys(computing.precision(network, device) for network in networks))
    return "bf16" if "bf16" in way else "fp32"
