"""A discriminator of VGG's features: what it is made of, what it refuses, and what ISN gives it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch

from calisketch.isn import ISN
from calisketch.losses import DiffAugment
from calisketch.networks import VGG19, EncoderDecoder, FeatureDiscriminator, SNPatchGAN
from calisketch.networks.vgg import LAYERS, channels
from calisketch.systems import CaliSketchSystem

DEEP = ("conv3_1", "conv4_1", "conv5_1")


def isn_of(discriminator: FeatureDiscriminator | None = None, **arguments) -> ISN:
    torch.manual_seed(0)
    generator = EncoderDecoder(1, 3, width=4, blocks=1, head="tanh")
    discriminator = FeatureDiscriminator(width=4, vgg_width=2) if discriminator is None else discriminator
    return ISN(generator, discriminator, VGG19.random(width=2), **arguments)


@pytest.fixture
def batch(generator: torch.Generator) -> dict[str, torch.Tensor]:
    photo, face = (torch.rand(2, 3, 32, 32, generator=generator) for _ in range(2))
    return {"photo": photo, "face": face.requires_grad_(), "index": torch.tensor([5, 3])}


def test_it_has_the_parameters_and_shapes_of_its_description() -> None:
    network = FeatureDiscriminator()
    expected = sum(256 * 2 ** (n > 0) * 64 + 64 + 16 * 64 * 64 + 64 + 9 * 64 + 1 for n in range(3))
    assert sum(p.numel() for p in network.parameters()) == expected
    features = VGG19.random(width=64)(torch.rand(1, 3, 64, 64), DEEP)
    output = network(features)
    assert [tuple(scale.shape) for scale in output.logits] == [(1, 1, 8, 8), (1, 1, 4, 4), (1, 1, 2, 2)]
    assert [tuple(seen.shape[1:]) for seen in output.features[:3]] == [(64, 16, 16), (64, 8, 8), (1, 8, 8)]
    assert output.features[2] is output.logits[0]


def test_every_layers_channels_are_those_that_vgg_gives() -> None:
    features = VGG19.random(width=3)(torch.rand(1, 3, 16, 16), LAYERS)
    assert {layer: channels(layer, 3) for layer in LAYERS} == {name: value.shape[1] for name, value in features.items()}


def test_layers_are_judged_each_on_its_own(generator: torch.Generator) -> None:
    network = FeatureDiscriminator(width=4, vgg_width=2).eval()
    features = VGG19.random(width=2)(torch.rand(1, 3, 64, 64, generator=generator), DEEP)
    other = network({**features, "conv4_1": features["conv4_1"] + 1}).logits
    for place, (one, two) in enumerate(zip(network(features).logits, other, strict=True)):
        assert torch.equal(one, two) == (place != 1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"in_channels": 1}, "in_channels 3; got 1"),
        ({"layers": []}, "at least one layer"),
        ({"layers": "conv3_1"}, "at least one layer"),
        ({"layers": ["conv3_1", "conv3_1"]}, "each once"),
        ({"layers": ["conv3_9"]}, "got 'conv3_9'"),
        ({"width": 0}, "width must be"),
        ({"vgg_width": True}, "vgg_width must be"),
    ],
)
def test_what_it_cannot_be_made_of_is_explained(arguments: Mapping, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        FeatureDiscriminator(**arguments)


def test_an_image_in_place_of_features_is_explained() -> None:
    with pytest.raises(ValueError, match=r"by layer; got a Tensor\. It is a discriminator for ISN only"):
        FeatureDiscriminator(width=4, vgg_width=2)(torch.rand(1, 3, 32, 32))  # type: ignore[arg-type]


def test_isn_says_when_it_is_for_another_vgg() -> None:
    with pytest.raises(ValueError, match=r"width 64; this one is 2 wide. Set the discriminator's vgg_width"):
        isn_of(FeatureDiscriminator(width=4))


@pytest.mark.parametrize("keep", [True, False], ids=["kept", "computed"])
@pytest.mark.parametrize("terms", [{}, {"perceptual_weight": 0, "style_weight": 0}], ids=["eq6", "without_vggs_terms"])
def test_isns_terms_are_eq_3_on_vggs_features(batch: dict[str, torch.Tensor], keep: bool, terms: dict) -> None:
    isn = isn_of(keep_features=keep, feature_matching_weight=2.0, **terms).eval()
    real, fake = (isn.discriminator(isn.vgg(batch[name], DEEP)) for name in ("photo", "face"))
    expected = sum(((r - 1) ** 2).mean() / 2 + (f**2).mean() / 2 for r, f in zip(real.logits, fake.logits, strict=True))
    for _ in range(2):  # the photos' features are made in the first pass, and read in the second
        torch.testing.assert_close(isn.discriminator_losses(batch)["isn/discriminator"], expected / 3)
        got = isn.generator_losses(batch)
        adversarial = 0.1 * sum(((f - 1) ** 2).mean() / 2 for f in fake.logits) / 3
        torch.testing.assert_close(got["isn/adversarial"], adversarial)
        matching = 2 * sum((r - f).abs().mean() for r, f in zip(real.features, fake.features, strict=True))
        torch.testing.assert_close(got["isn/feature_matching"], matching)
    scores = isn.scores(batch)
    torch.testing.assert_close(scores["isn/fake"], torch.stack([f.mean() for f in fake.logits]).mean())


def test_its_step_teaches_it_alone_and_the_generators_reaches_the_face(batch: dict[str, torch.Tensor]) -> None:
    isn = isn_of()
    isn.discriminator_losses(batch)["isn/discriminator"].backward()
    assert batch["face"].grad is None
    assert all(p.grad is not None and p.grad.any() for n, p in isn.discriminator.named_parameters() if "weight" in n)
    isn.generator_losses(batch)["isn/adversarial"].backward()  # the graph of the first half serves the second
    assert batch["face"].grad.any()
    assert all(p.grad is None for p in isn.vgg.parameters())


def test_vgg_looks_at_a_face_once_a_step_and_at_a_kept_photo_never_again(
    batch: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    isn = isn_of()
    seen = []
    forward = isn.vgg.forward
    monkeypatch.setattr(isn.vgg, "forward", lambda photo, layers: seen.append(len(photo)) or forward(photo, layers))
    for step in range(3):
        made = {**batch, "face": batch["face"] * (1 - step / 10)}
        isn.discriminator_losses(made)
        isn.generator_losses(made)
    assert seen == [1, 1, 2, 2, 2]  # two photos, one at a time; then the two faces of each step


def test_a_face_made_without_a_graph_is_looked_at_again_with_one(batch: dict[str, torch.Tensor]) -> None:
    """As with accumulated batches, whose faces the discriminator's half makes without gradients."""
    isn = isn_of()
    isn.discriminator_losses({**batch, "face": batch["face"].detach()})
    isn.generator_losses(batch)["isn/adversarial"].backward()
    assert batch["face"].grad.any()


def test_augmentation_and_r1_go_through_vgg(batch: dict[str, torch.Tensor]) -> None:
    isn = isn_of(augment=DiffAugment(), feature_matching_weight=1.0).eval()
    same = {**batch, "face": batch["photo"].clone().requires_grad_()}
    assert isn.generator_losses(same)["isn/feature_matching"] == 0  # one draw for both
    assert isn.generator_losses(batch)["isn/feature_matching"] > 0
    plain = isn_of(r1_weight=3.0).eval()
    leaf = batch["photo"].clone().requires_grad_()
    logits = plain.discriminator(plain.vgg(leaf, DEEP)).logits
    (gradient,) = torch.autograd.grad(torch.stack([s.mean((1, 2, 3)).sum() for s in logits]).mean(), leaf)
    penalty = 3 * gradient.square().sum((1, 2, 3)).mean() / 2
    torch.testing.assert_close(plain.discriminator_losses(batch)["isn/r1"], penalty)


def test_a_system_asks_images_only_of_a_discriminator_of_images() -> None:
    assert "isn.discriminator" not in CaliSketchSystem(isn=isn_of()).channels
    pixels = ISN(EncoderDecoder(1, 3, width=4, blocks=1), SNPatchGAN(3, width=4), VGG19.random(width=2))
    assert "isn.discriminator" in CaliSketchSystem(isn=pixels).channels
