"""LPIPS against the `lpips` package with the same weights."""

from __future__ import annotations

from pathlib import Path

import lpips as published
import pytest
import torch

from calisketch.evaluation import lpips, to_uint8
from calisketch.networks.lpips import LPIPS

POSITIONS = {0: "slice1.0", 3: "slice2.3", 6: "slice3.6", 8: "slice4.8", 10: "slice5.10"}


def package_with_the_weights_of(network: LPIPS) -> torch.nn.Module:
    """The package's own network, built without a download, holding our tensors."""
    theirs = published.LPIPS(net="alex", pretrained=False, pnet_rand=True, verbose=False)
    state = theirs.state_dict()
    for number, (index, place) in enumerate(POSITIONS.items()):
        convolution = network.convolutions[number]
        state[f"net.{place}.weight"], state[f"net.{place}.bias"] = convolution.weight, convolution.bias
        state[f"lin{number}.model.1.weight"] = network.heads[number].view(1, -1, 1, 1)
        state[f"lins.{number}.model.1.weight"] = network.heads[number].view(1, -1, 1, 1)
        assert index == int(place.split(".")[1])
    theirs.load_state_dict(state, strict=True)
    return theirs.eval()


@pytest.mark.filterwarnings("ignore:.*deprecated since 0.13:UserWarning")  # the package's call of torchvision
@pytest.mark.parametrize("kind", ["random", "published"])
def test_lpips_is_the_packages(kind: str, request: pytest.FixtureRequest, generator: torch.Generator) -> None:
    """Tolerance 1e-4 of the largest distance (float32), on the 8-bit images that both see."""
    if kind == "published":
        request.getfixturevalue("shared_weights")
    network = LPIPS.random() if kind == "random" else LPIPS.from_pretrained()
    photo = torch.rand(5, 3, 70, 64, generator=generator)
    face = (
        photo + torch.rand(5, 1, 1, 1, generator=generator) * torch.randn(photo.shape, generator=generator) / 4
    ).clamp(0, 1)
    seen = [torch.from_numpy(to_uint8(images)).permute(0, 3, 1, 2) / 255 for images in (photo, face)]
    with torch.no_grad():
        expected = package_with_the_weights_of(network)(*seen, normalize=True).flatten().double().numpy()
    got = lpips(photo, face, network, batch_size=2)
    assert expected.max() > max(1e-3, 2 * expected.min())
    assert got == pytest.approx(expected, abs=1e-4 * expected.max())


def test_lpips_is_0_for_equal_images_and_does_not_depend_on_batches(generator: torch.Generator) -> None:
    network = LPIPS.random()
    photo, face = torch.rand(2, 3, 3, 40, 40, generator=generator).unbind()
    assert (lpips(photo, photo, network) == 0).all()
    alone = [lpips(photo[i : i + 1], face[i : i + 1], network)[0] for i in range(3)]
    assert lpips(photo, face, network, batch_size=2) == pytest.approx(alone, abs=1e-6)


@pytest.mark.parametrize("content", [b"", b"no weights at all"])
def test_damaged_weights_are_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "lpips.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match=r"lpips\.safetensors cannot be read .* Get it again"):
        LPIPS.from_pretrained(tmp_path / "lpips.safetensors")


def test_lpips_refuses_what_is_not_a_pair_of_images() -> None:
    network = LPIPS.random()
    with pytest.raises(ValueError, match="same shape"):
        lpips(torch.zeros(1, 3, 40, 40), torch.zeros(2, 3, 40, 40), network)
    with pytest.raises(ValueError, match="face must lie in"):
        lpips(torch.zeros(1, 3, 40, 40), torch.full((1, 3, 40, 40), 3.0), network)
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        lpips(torch.zeros(1, 3, 40, 40), torch.zeros(1, 3, 40, 40), network, batch_size=0)
