"""VGG-19: every layer against torchvision's own, from the same weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from calisketch import weights
from calisketch.networks.vgg import LAYERS, VGG19

torchvision_models = pytest.importorskip("torchvision.models")


@pytest.fixture(scope="module")
def reference() -> torch.nn.Sequential:
    """torchvision's features, ReLUs out of place, He-initialised so that all layers stay alive."""
    torch.manual_seed(0)
    with torch.device("meta"):  # its classifier alone is 120 million parameters
        features = torchvision_models.vgg19(weights=None).features
    features = features.to_empty(device="cpu")
    for module in features:
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
            torch.nn.init.normal_(module.bias, std=0.1)
        elif isinstance(module, torch.nn.ReLU):
            module.inplace = False
    return features.eval().requires_grad_(False)


def _all_layers(features: torch.nn.Sequential, photo: Tensor) -> list[Tensor]:
    outputs: list[Tensor] = []
    for module in features[:-1]:  # all but the last pool
        photo = module(photo)
        if not isinstance(module, torch.nn.MaxPool2d):
            outputs.append(photo)
    return outputs


@pytest.mark.parametrize("file", ["vgg19.pth", "features.safetensors"])
def test_every_layer_equals_torchvisions(file: str, reference: torch.nn.Sequential, tmp_path: Path) -> None:
    state = reference.state_dict()
    if file.endswith(".pth"):  # torchvision's file: a prefix, and a classifier that is left out
        torch.save({**{f"features.{key}": value for key, value in state.items()},
                    "classifier.0.weight": torch.zeros(2, 2)}, tmp_path / file)  # fmt: skip
    else:
        save_file(state, tmp_path / file)
    network = VGG19.from_pretrained(tmp_path / file)
    photo = torch.rand(2, 3, 17, 24, generator=torch.Generator().manual_seed(0))
    expected = _all_layers(reference, photo)
    found = network(photo, LAYERS)
    assert list(found) == list(LAYERS)
    assert len(expected) == len(LAYERS) == 32
    for name, wanted in zip(LAYERS, expected, strict=True):
        torch.testing.assert_close(
            found[name], wanted, rtol=1e-4, atol=1e-4, msg=lambda text, name=name: f"{name}: {text}"
        )
    assert network.source == file
    assert wanted.std() > 0.01


def test_the_losses_layers_are_at_torchvisions_documented_indices(reference: torch.nn.Sequential) -> None:
    # The perceptual loss names features 0, 5, 10, 19 and 28.
    network = VGG19()
    network.load_published(reference.state_dict())
    for block, index in enumerate((0, 5, 10, 19, 28), start=1):
        assert torch.equal(network.get_submodule(f"conv{block}_1").weight, reference[index].weight)


def test_normalising_equals_normalising_by_hand() -> None:
    raw, normalising = VGG19.random(seed=3), VGG19.random(seed=3, normalise=True)
    photo = torch.rand(1, 3, 32, 32)
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    by_hand = (photo - mean.view(1, 3, 1, 1)) / deviation.view(1, 3, 1, 1)
    torch.testing.assert_close(normalising(photo, ["conv3_1"]), raw(by_hand, ["conv3_1"]))


def test_a_kept_convolution_is_not_changed_by_its_activation() -> None:
    found = VGG19.random()(torch.rand(1, 3, 32, 32), ["conv1_1", "relu1_1", "conv5_1"])
    assert found["conv1_1"].min() < 0
    assert torch.equal(found["relu1_1"], found["conv1_1"].clamp(min=0))


def test_it_is_frozen_and_gradients_reach_the_photo() -> None:
    network = VGG19.random().train()
    photo = torch.rand(1, 3, 32, 32, requires_grad=True)
    network(photo, ["conv4_1"])["conv4_1"].abs().mean().backward()
    assert photo.grad is not None
    assert photo.grad.abs().sum() > 0
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_nothing_after_the_last_wanted_layer_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    network = VGG19.random()
    network.conv3_1.register_forward_hook(lambda *_: pytest.fail("conv3_1 was computed"))
    network(torch.rand(1, 3, 32, 32), ["relu2_2", "conv1_1"])


def test_random_stand_ins_are_reproducible_and_say_what_they_are() -> None:
    photo = torch.rand(1, 3, 32, 32)
    one, same, other = (VGG19.random(seed=seed)(photo, ["relu5_4"])["relu5_4"] for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert one.shape == (1, 64, 2, 2)
    assert one.std() > 0.05, "the signal died on the way"
    assert "random" in VGG19.random().source


def test_wrong_layers_files_and_photos_are_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = VGG19.random()
    with pytest.raises(ValueError, match=r"got \['conv6_1'\]"):
        network(torch.rand(1, 3, 32, 32), ["conv1_1", "conv6_1"])
    with pytest.raises(ValueError, match="got"):
        network(torch.rand(3, 32, 32), ["conv1_1"])
    with pytest.raises(ValueError, match="at least 16"):
        network(torch.rand(1, 3, 8, 8), ["conv1_1"])
    with pytest.raises(ValueError, match="does not fit VGG-19"):
        network.load_published({"features.0.weight": torch.zeros(64, 3, 3, 3)})
    for variable in ("CALISKETCH_WEIGHTS", "CALISKETCH_CACHE", "TORCH_HOME"):
        monkeypatch.setenv(variable, str(tmp_path))
    with pytest.raises(weights.MissingWeights, match=r"vgg19-dcbb9e9d\.pth"):
        VGG19.from_pretrained()


def test_on_real_weights_layer_means_are_about_one(shared_weights: Path) -> None:
    """The normalised file's own property: each channel's mean activation is 1 on photos."""
    network = VGG19.from_pretrained(normalise=True)
    generator = torch.Generator().manual_seed(0)
    photo = torch.nn.functional.interpolate(torch.rand(1, 3, 8, 8, generator=generator), 64, mode="bicubic").clamp(0, 1)
    found = network(photo, ["relu1_1", "relu2_1", "relu3_1"])
    assert all(0.2 < float(features.mean()) < 5 for features in found.values())
    assert network.source == "vgg19-normalised-features-fp16.safetensors"
