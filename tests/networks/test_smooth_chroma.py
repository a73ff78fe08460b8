"""The head whose colours are smooth: what it leaves as it is, and OpenCV's word for what it changes."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from calisketch.inference.rewriting import for_inference
from calisketch.networks import VGG19, ColourLed, EncoderDecoder, UNet, enlarged, with_head
from calisketch.networks.heads import SmoothChroma, make_head
from tools.add_colour import with_colours


@pytest.mark.parametrize("factor", [2, 4])
def test_it_is_opencvs_smaller_and_larger_chroma(factor: int, generator: torch.Generator) -> None:
    image = 0.3 + 0.4 * torch.rand(1, 3, 32, 48, generator=generator)  # far from the edges of the gamut
    rgb = image[0].permute(1, 2, 0).contiguous().numpy()
    ycc = cv2.cvtColor(rgb, cv2.COLOR_RGB2YCrCb)
    small = cv2.resize(ycc, (48 // factor, 32 // factor), interpolation=cv2.INTER_AREA)
    smooth = cv2.resize(small, (48, 32), interpolation=cv2.INTER_LINEAR)
    expected = cv2.cvtColor(np.dstack([ycc[..., 0], smooth[..., 1:]]), cv2.COLOR_YCrCb2RGB)
    got = SmoothChroma(factor)(image)[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(got, expected, rtol=0, atol=2e-3)  # OpenCV's coefficients have three digits
    assert np.abs(got - rgb).max() > 0.05


def test_grey_and_flat_images_stay_as_they_are_and_luma_within_the_gamut(generator: torch.Generator) -> None:
    smooth = SmoothChroma(4).double()
    grey = torch.rand(2, 1, 16, 16, generator=generator, dtype=torch.float64).expand(2, 3, 16, 16)
    torch.testing.assert_close(smooth(grey), grey)
    flat = torch.tensor([0.9, 0.2, 0.4], dtype=torch.float64).view(1, 3, 1, 1).expand(1, 3, 16, 16)
    torch.testing.assert_close(smooth(flat), flat)
    image = 0.3 + 0.4 * torch.rand(2, 3, 16, 16, generator=generator, dtype=torch.float64)
    weights = torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64)
    luma = torch.einsum("bchw,c->bhw", smooth(image), weights)
    torch.testing.assert_close(luma, torch.einsum("bchw,c->bhw", image, weights), rtol=0, atol=1e-7)


def test_what_leaves_the_gamut_is_clipped(generator: torch.Generator) -> None:
    answer = SmoothChroma(4)((torch.rand(1, 3, 32, 32, generator=generator) > 0.5).float())
    assert answer.min() == 0
    assert answer.max() == 1


def test_in_bfloat16_the_answer_is_float32(generator: torch.Generator) -> None:
    image = torch.rand(1, 3, 16, 16, generator=generator).bfloat16()
    answer = SmoothChroma(2)(image)
    assert answer.dtype == torch.float32
    torch.testing.assert_close(answer, SmoothChroma(2)(image.float()))


@pytest.mark.parametrize("kind", [EncoderDecoder, UNet])
def test_networks_take_it_by_name_without_other_weights(kind: type, generator: torch.Generator) -> None:
    arguments = {"width": 4, "depth": 5} if kind is UNet else {"width": 4, "blocks": 1}
    plain, smooth = (kind(1, 3, head=head, **arguments).eval() for head in ("tanh", "tanh_chroma4"))
    assert smooth.config["head"] == "tanh_chroma4"
    smooth.load_state_dict(plain.state_dict())
    for network in (plain, smooth):
        torch.nn.init.normal_(network.output.weight, 0, 1.0, generator=torch.Generator().manual_seed(1))
    sketch = torch.rand(1, 1, 64, 64, generator=generator)
    with torch.no_grad():
        torch.testing.assert_close(smooth(sketch), SmoothChroma(4)(plain(sketch)))
        torch.testing.assert_close(for_inference(smooth)(sketch), smooth(sketch), rtol=0, atol=1e-5)


def test_a_model_is_enlarged_with_it_and_takes_colours_with_it(generator: torch.Generator) -> None:
    network = EncoderDecoder(1, 3, width=4, blocks=1, head="tanh").eval()
    large = enlarged(with_head(network, "tanh_chroma4"), 2)
    assert not large.training
    assert large.config["head"] == "tanh_chroma4"
    sketch = torch.rand(1, 1, 64, 64, generator=generator)
    with torch.no_grad():
        torch.testing.assert_close(large(sketch), SmoothChroma(4)(enlarged(network, 2).eval()(sketch)))
    smooth = EncoderDecoder(1, 3, width=4, blocks=1, head="tanh_chroma2").eval()
    led = with_colours(smooth)
    assert isinstance(led, ColourLed)
    with torch.no_grad():
        none = torch.cat([sketch, torch.zeros(1, 4, 64, 64)], dim=1)
        torch.testing.assert_close(led(none), smooth(sketch))


def test_sides_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ValueError, match="sides must divide by 4; got 34 x 36"):
        SmoothChroma(4)(torch.rand(1, 3, 34, 36))


@pytest.mark.parametrize("head", [None, 4, "sigmoid"])
def test_what_starts_from_colours_takes_tanh_heads_only(head: object) -> None:
    with pytest.raises(ValueError, match="by a tanh head; got"):
        ColourLed(width=4, blocks=1, head=head)  # type: ignore[arg-type]


def test_chroma_of_no_photo_and_unknown_heads_are_refused() -> None:
    with pytest.raises(ValueError, match="is for RGB, out_channels 3; got 1"):
        EncoderDecoder(1, 1, head="tanh_chroma2")
    with pytest.raises(ValueError, match="head must be one of"):
        make_head("tanh_chroma3", 3)


def test_a_head_of_another_kind_and_networks_without_are_refused() -> None:
    with pytest.raises(ValueError, match="EncoderDecoder are for the head 'tanh'; got 'sigmoid'"):
        with_head(EncoderDecoder(1, 3, width=4, blocks=1, head="tanh"), "sigmoid")
    with pytest.raises(ValueError, match="VGG19 are for the head None"):
        with_head(VGG19.random(width=2), "tanh_chroma4")
    with pytest.raises(ValueError, match="head must be one of"):
        with_head(EncoderDecoder(1, 3, width=4, blocks=1, head="tanh"), "tanh_chroma3")
