"""The painter's U-Net: what it is given, what a part of the colours changes, and that it exports."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from calisketch.networks import GENERATORS, PaintingUNet
from calisketch.networks.painting_unet import _Doubling, plan_of
from calisketch.weights import folder

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = {"width": 16, "multiples": [1, 1, 2, 2], "blocks": [1, 1, 1, 1], "fine_width": 4}


def lively(**more: object) -> PaintingUNet:
    """With the convolutions that start at 0 saying something."""
    torch.manual_seed(0)
    network = PaintingUNet(**{**SMALL, **more})  # type: ignore[arg-type]
    for name, weight in network.named_parameters():
        if weight.ndim == 4 and not weight.any():
            torch.nn.init.normal_(weight, 0, 0.1)
        assert weight.ndim < 4 or weight.any(), name
    return network.eval().requires_grad_(False)


@pytest.fixture
def image(generator: torch.Generator) -> torch.Tensor:
    strokes = (torch.rand(2, 1, 64, 96, generator=generator) > 0.8).float()
    given = torch.zeros(2, 1, 64, 96)
    given[:, :, :32, :40] = 1
    return torch.cat([strokes, given * torch.rand(2, 3, 64, 96, generator=generator), given], dim=1)


def test_the_painter_has_about_15_m_parameters_and_5_gmac() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        network = PaintingUNet()
        assert network(torch.empty(1, 5, 256, 256)).shape == (1, 3, 256, 256)
    assert 14e6 < sum(weight.numel() for weight in network.parameters()) < 16e6
    assert counter.get_total_flops() / 2 < 5.2e9


def test_colours_beside_the_strokes_are_their_plan(image: torch.Tensor) -> None:
    network = lively()
    painted = network(image)
    assert painted.shape == (2, 3, 64, 96)
    assert painted.dtype == torch.float32
    assert 0 <= painted.min() < painted.max() <= 1
    torch.testing.assert_close(network(image[:, :1], plan_of(image[:, 1:])), painted)
    torch.testing.assert_close(network(image[:, :1]), network(torch.cat([image[:, :1], 0 * image[:, 1:]], dim=1)))
    assert (network(image[:, :1]) - painted).abs().max() > 1e-3


def test_a_cell_of_the_plan_is_the_mean_of_what_is_given_in_it() -> None:
    colours = torch.zeros(1, 4, 64, 64)
    colours[:, :, :32, :32] = torch.tensor([0.9, 0.5, 0.1, 1.0]).view(1, 4, 1, 1)
    colours[:, :, 32:48, 32:] = torch.tensor([0.7, 0.7, 0.7, 1.0]).view(1, 4, 1, 1)  # half of a cell
    plan = plan_of(colours)
    torch.testing.assert_close(plan[0, :, 0, 0], torch.tensor([0.4, 0.0, -0.4, 1.0]))
    torch.testing.assert_close(plan[0, :, 1, 1], torch.tensor([0.1, 0.1, 0.1, 0.5]))
    assert not plan[0, :, 0, 1].any()
    assert not plan[0, :, 1, 0].any()


def test_a_doubling_is_a_nearest_resize_and_a_convolution(generator: torch.Generator) -> None:
    doubling = _Doubling(3, 5)
    small = torch.rand(2, 3, 6, 7, generator=generator)
    expected = doubling.conv(F.interpolate(small, scale_factor=2.0, mode="nearest"))
    torch.testing.assert_close(doubling(small), expected, atol=1e-5, rtol=1e-5)


def test_flat_parts_have_no_grid() -> None:
    """Blank strokes: inside the borders' reach nothing tells one pixel from another, at any period."""
    network = lively(attended=0)
    painted = network(torch.zeros(1, 1, 640, 640))[..., 304:336, 304:336]
    assert painted.flatten(2).std(2).max() < 1e-6


@pytest.mark.parametrize(
    ("shape", "plan", "said"),
    [
        ((1, 5, 64, 65), None, "divide by 32"),
        ((1, 5, 32, 64), None, "at least 64"),
        ((1, 2, 64, 64), None, "expected 5 channels"),
        ((1, 5, 64, 64), (1, 4, 2, 2), "5 channels and a plan"),
        ((1, 1, 64, 64), (1, 4, 8, 8), "plan must be"),
    ],
)
def test_what_it_cannot_take_is_refused(shape: tuple[int, ...], plan: tuple[int, ...] | None, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        lively()(torch.zeros(shape), None if plan is None else torch.zeros(plan))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"in_channels": 4}, "in_channels"),
        ({"blocks": [1, 1]}, "four numbers"),
        ({"heads": 5}, "divide by heads"),
        ({"fine_width": 0}, "at least 1"),
        ({"head": "none"}, "head"),
    ],
)
def test_arguments_that_make_no_network_are_refused(arguments: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        PaintingUNet(**{**SMALL, **arguments})  # type: ignore[arg-type]


def test_it_works_without_colours_and_comes_back_from_its_folder(tmp_path: Path, image: torch.Tensor) -> None:
    network = lively(in_channels=1, out_channels=1)
    with pytest.raises(ValueError, match="expected 1 channels"):
        network(image)
    folder.save(tmp_path, {"scn": network, "isn": lively()}, 64, half=False)
    again, _ = folder.load(tmp_path, GENERATORS)
    assert torch.equal(again["scn"](image[:, :1]), network(image[:, :1]))
    assert again["isn"].config == lively().config


def test_it_computes_the_same_in_onnx_runtime(image: torch.Tensor, tmp_path: Path) -> None:
    for package in ("onnx", "onnxscript", "onnxruntime"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"needs {package} (the extra export)")
    import onnxruntime

    from calisketch.inference.onnx_graph import to_onnx

    network = lively()
    graph = to_onnx(network, {"image": image}, ["face"], ["image"])
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    for batch in (image, image[:1]):
        [answer] = session.run(None, {"image": batch.numpy()})
        np.testing.assert_allclose(answer, network(batch).numpy(), atol=1e-4)
