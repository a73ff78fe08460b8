"""HED: each published layout against a forward pass written from its publisher's description."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from calisketch import weights
from calisketch.networks.hed import HED

BLOCKS = [[64] * 2, [128] * 2, [256] * 3, [512] * 3, [512] * 3]
MEAN_BGR = torch.tensor([104.00698793, 116.66876762, 122.67891434]).view(1, 3, 1, 1)
State = dict[str, Tensor]


def _random_layers(seed: int) -> list[tuple[list[tuple[Tensor, Tensor]], tuple[Tensor, Tensor]]]:
    """Per block: its 3x3 convolutions and its projection, scaled so that the sigmoid is not saturated."""
    generator = torch.Generator().manual_seed(seed)

    def layer(out: int, into: int, side: int, gain: float) -> tuple[Tensor, Tensor]:
        deviation = gain * (2.0 / (into * side * side)) ** 0.5
        weight = torch.randn(out, into, side, side, generator=generator) * deviation
        return weight, torch.randn(out, generator=generator) * 0.1

    previous, blocks = 3, []
    for block, widths in enumerate(BLOCKS):
        convolutions = []
        for index, width in enumerate(widths):
            convolutions.append(layer(width, previous, 3, 0.01 if block == index == 0 else 1.0))
            previous = width
        blocks.append((convolutions, layer(1, previous, 1, 1.0)))
    return blocks


def _sides(image: Tensor, layers: list, ceil: bool) -> list[Tensor]:
    sides, features = [], image
    for block, (convolutions, projection) in enumerate(layers):
        if block:
            features = F.max_pool2d(features, 2, 2, ceil_mode=ceil)
        for weight, bias in convolutions:
            features = F.conv2d(features, weight, bias, padding=1).clamp(min=0)
        side = F.conv2d(features, *projection)
        sides.append(F.interpolate(side, image.shape[-2:], mode="bilinear", align_corners=False))
    return sides


def _retrained() -> tuple[State, Callable[[Tensor], Tensor]]:
    layers, fuse = _random_layers(1), (torch.randn(1, 5, 1, 1) * 0.4, torch.tensor([0.1]))
    state = {"fuse.weight": fuse[0], "fuse.bias": fuse[1]}
    for block, (convolutions, projection) in enumerate(layers, start=1):
        for index, (weight, bias) in enumerate(convolutions, start=1):
            state[f"conv{block}_{index}.weight"], state[f"conv{block}_{index}.bias"] = weight, bias
        state[f"dsn{block}.weight"], state[f"dsn{block}.bias"] = projection

    def forward(photo: Tensor) -> Tensor:
        bgr = photo[:, [2, 1, 0]] * 255 - MEAN_BGR
        return F.conv2d(torch.cat(_sides(bgr, layers, ceil=True), 1), *fuse).sigmoid()

    return state, forward


def _controlnet() -> tuple[State, Callable[[Tensor], Tensor]]:
    layers, norm = _random_layers(2), torch.tensor([120.0, 110.0, 100.0]).view(1, 3, 1, 1)
    state = {"norm": norm}
    for block, (convolutions, projection) in enumerate(layers, start=1):
        for index, (weight, bias) in enumerate(convolutions):
            state[f"block{block}.convs.{index}.weight"], state[f"block{block}.convs.{index}.bias"] = weight, bias
        state[f"block{block}.projection.weight"], state[f"block{block}.projection.bias"] = projection

    def forward(photo: Tensor) -> Tensor:
        return torch.stack(_sides(photo * 255 - norm, layers, ceil=False)).mean(0).sigmoid()

    return state, forward


def _sniklaus(prefix: str) -> tuple[State, Callable[[Tensor], Tensor]]:
    layers, combine = _random_layers(3), (torch.randn(1, 5, 1, 1) * 0.4, torch.tensor([-0.2]))
    names = ["One", "Two", "Thr", "Fou", "Fiv"]
    positions = [[0, 2], [1, 3], [1, 3, 5], [1, 3, 5], [1, 3, 5]]  # after a pool at 0, from the second block on
    state = {f"{prefix}Combine.0.weight": combine[0], f"{prefix}Combine.0.bias": combine[1]}
    for name, places, (convolutions, projection) in zip(names, positions, layers, strict=True):
        for place, (weight, bias) in zip(places, convolutions, strict=True):
            state[f"{prefix}Vgg{name}.{place}.weight"], state[f"{prefix}Vgg{name}.{place}.bias"] = weight, bias
        state[f"{prefix}Score{name}.weight"], state[f"{prefix}Score{name}.bias"] = projection

    def forward(photo: Tensor) -> Tensor:
        bgr = photo[:, [2, 1, 0]] * 255 - MEAN_BGR
        return F.conv2d(torch.cat(_sides(bgr, layers, ceil=False), 1), *combine).sigmoid()

    return state, forward


LAYOUTS: dict[str, Callable[[], tuple[State, Callable[[Tensor], Tensor]]]] = {
    "retrained.safetensors": _retrained,
    "ControlNetHED.pth": _controlnet,
    "network-bsds500.pytorch": lambda: _sniklaus("module"),
    "renamed.pytorch": lambda: _sniklaus("net"),
}


@pytest.mark.parametrize("file", LAYOUTS)
def test_each_layout_gives_its_publishers_output(file: str, tmp_path: Path, generator: torch.Generator) -> None:
    state, published = LAYOUTS[file]()
    path = tmp_path / file
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)
    network = HED.from_pretrained(path)
    photo = torch.rand(2, 3, 21, 30, generator=generator)  # odd sides: pooling up and down differ
    with torch.no_grad():
        contour, expected = network(photo), published(photo)
    assert contour.shape == (2, 1, 21, 30)
    assert expected.std() > 0.01, "the reference is saturated and would agree with anything"
    torch.testing.assert_close(contour, expected, rtol=1e-4, atol=1e-5)
    assert network.source == file


def test_gradients_reach_the_photo_but_no_weight() -> None:
    network = HED()
    photo = torch.rand(1, 3, 32, 32, requires_grad=True)
    network(photo).sum().backward()
    assert photo.grad is not None
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_foreign_missing_and_misshapen_tensors_are_named(generator: torch.Generator) -> None:
    state, _ = _controlnet()
    network = HED()
    with pytest.raises(ValueError, match="no HED network of a known layout"):
        network.load_published({"encoder.0.weight": torch.zeros(1)})
    with pytest.raises(ValueError, match="a_stranger"):
        network.load_published({**state, "a_stranger": torch.zeros(1)})
    with pytest.raises(ValueError, match=r"dsn3\.bias"):
        network.load_published({key: value for key, value in state.items() if key != "block3.projection.bias"})
    with pytest.raises(ValueError, match=r"size mismatch for conv1_1\.weight"):
        network.load_published({**state, "block1.convs.0.weight": torch.zeros(8, 3, 3, 3)})


def test_a_pickle_with_code_is_refused(tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "harm",)  # type: ignore[return-value]

    torch.save({"norm": Harm()}, tmp_path / "ControlNetHED.pth")
    with pytest.raises(Exception, match=r"weights_only|Weights only"):
        HED.from_pretrained(tmp_path / "ControlNetHED.pth")
    assert not (tmp_path / "harm").exists()


def test_missing_weights_and_bad_photos_are_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("CALISKETCH_WEIGHTS", "CALISKETCH_CACHE", "TORCH_HOME"):
        monkeypatch.setenv(variable, str(tmp_path))
    with pytest.raises(weights.MissingWeights, match=r"ControlNetHED\.pth"):
        HED.from_pretrained()
    with pytest.raises(ValueError, match="at least 16"):
        HED()(torch.rand(1, 3, 8, 40))
    with pytest.raises(ValueError, match=r"got \(1, 1, 32, 32\)"):
        HED()(torch.rand(1, 1, 32, 32))


def test_on_real_weights_a_disc_has_its_rim_as_contour(shared_weights: Path) -> None:
    rows, columns = torch.meshgrid(torch.arange(96.0), torch.arange(96.0), indexing="ij")
    radius = ((rows - 48) ** 2 + (columns - 48) ** 2).sqrt()
    photo = (0.8 - 0.6 * (radius < 28).float()).expand(1, 3, 96, 96)
    with torch.no_grad():
        contour = HED.from_pretrained()(photo)[0, 0]
    rim, inside = contour[(radius - 28).abs() < 1.5], contour[radius < 12]
    assert rim.mean() > 0.7
    assert inside.mean() < 0.1
