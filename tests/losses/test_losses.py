"""Claims about the losses: values by hand, zero at equality, symmetry, gradients, and parity with the equations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from calisketch.losses import (
    feature_matching,
    gram_matrix,
    l1,
    lsgan_discriminator,
    lsgan_generator,
    perceptual,
    soft_f1,
    style,
    total_variation,
    vanilla_discriminator,
    vanilla_generator,
)


def double(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64, requires_grad=True)


# Eq. 3


def test_lsgan_by_hand() -> None:
    real, fake = torch.tensor([[1.0, 3.0]]), torch.tensor([[0.0, 2.0]])
    assert lsgan_discriminator([real], [fake]).item() == pytest.approx((0 + 4) / 2 / 2 + (0 + 4) / 2 / 2)
    assert lsgan_generator([fake]).item() == pytest.approx((1 + 1) / 2 / 2)


def test_lsgan_is_zero_for_a_perfect_discriminator_and_a_perfect_generator() -> None:
    assert lsgan_discriminator([torch.ones(2, 1, 3, 3)], [torch.zeros(2, 1, 3, 3)]) == 0
    assert lsgan_generator([torch.ones(2, 1, 3, 3)]) == 0


def test_lsgan_averages_over_scales_not_over_all_elements() -> None:
    fine, coarse = torch.zeros(1, 1, 8, 8), torch.ones(1, 1, 1, 1)
    assert lsgan_generator([fine, coarse]).item() == pytest.approx(0.25)


def test_lsgan_refuses_a_bare_tensor_and_unequal_scales() -> None:
    with pytest.raises(ValueError, match=r"Wrap it: \[logits\]"):
        lsgan_generator(torch.zeros(1, 1, 2, 2))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="got 1 and 2"):
        lsgan_discriminator([torch.zeros(1)], [torch.zeros(1)] * 2)


# The first GAN's cross-entropy


def test_vanilla_is_the_cross_entropy_of_real_and_fake_halved_for_the_discriminator() -> None:
    real, fake = torch.randn(3, 1, 4, 4), torch.randn(3, 1, 4, 4)
    entropy = torch.nn.functional.binary_cross_entropy
    expected = entropy(real.sigmoid(), torch.ones_like(real)) + entropy(fake.sigmoid(), torch.zeros_like(fake))
    torch.testing.assert_close(vanilla_discriminator([real], [fake]), expected / 2)
    torch.testing.assert_close(vanilla_generator([fake]), entropy(fake.sigmoid(), torch.ones_like(fake)))


def test_vanilla_stays_finite_and_gives_the_generator_a_gradient_where_the_discriminator_is_sure() -> None:
    fake = torch.full((1, 1, 1, 1), -200.0, requires_grad=True)
    assert vanilla_discriminator([-fake.detach()], [fake.detach()]) == 0
    vanilla_generator([fake]).backward()
    assert fake.grad is not None
    assert fake.grad.item() == pytest.approx(-1)
    with pytest.raises(ValueError, match=r"Wrap it: \[logits\]"):
        vanilla_generator(fake)  # type: ignore[arg-type]


# Eq. 2


def test_feature_matching_sums_layers_and_averages_elements() -> None:
    real = [torch.zeros(1, 2, 2, 2), torch.zeros(1, 1, 1, 1)]
    fake = [torch.full((1, 2, 2, 2), 0.5), torch.full((1, 1, 1, 1), -3.0)]
    assert feature_matching(real, fake).item() == pytest.approx(3.5)


def test_feature_matching_is_zero_at_equality_and_symmetric() -> None:
    one, two = [torch.rand(1, 3, 4, 4)], [torch.rand(1, 3, 4, 4)]
    assert feature_matching(one, one) == 0
    assert feature_matching(one, two) == feature_matching(two, one)


def test_feature_matching_gives_no_gradient_to_the_real_side() -> None:
    real, fake = torch.rand(1, 1, 2, 2, requires_grad=True), torch.rand(1, 1, 2, 2, requires_grad=True)
    feature_matching([real], [fake]).backward()
    assert real.grad is None
    assert fake.grad.abs().sum() > 0


def test_feature_matching_does_not_broadcast() -> None:
    with pytest.raises(ValueError, match="same shape"):
        feature_matching([torch.zeros(1, 1, 1, 1)], [torch.zeros(1, 1, 2, 2)])


# Eq. 7-10


def test_l1_by_hand() -> None:
    assert l1(torch.tensor([[[[0.0, 1.0]]]]), torch.tensor([[[[0.5, 0.0]]]])).item() == pytest.approx(0.75)


def test_total_variation_by_hand_on_5x5() -> None:
    image = np.zeros((5, 5), np.float32)
    image[2, 2] = 1
    across, down = np.abs(np.diff(image, axis=1)).mean(), np.abs(np.diff(image, axis=0)).mean()
    assert total_variation(torch.from_numpy(image)[None, None]).item() == pytest.approx(across + down)
    assert across == pytest.approx(0.1)


def test_total_variation_sees_a_diagonal_ramp() -> None:
    """The paper's printed |dx - dy| is 0 here, which is how one knows that it is a misprint."""
    ramp = (torch.arange(4.0)[:, None] + torch.arange(4.0)[None])[None, None] / 10
    assert total_variation(ramp).item() == pytest.approx(0.2)
    assert total_variation(torch.full((1, 3, 4, 4), 0.3)) == 0


def test_gram_matrix_by_hand_and_against_einsum() -> None:
    features = torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]])  # C 2, H 1, W 2
    assert gram_matrix(features).tolist() == [[[5 / 4, 11 / 4], [11 / 4, 25 / 4]]]
    features = torch.rand(2, 5, 6, 7)
    expected = torch.einsum("bchw,bdhw->bcd", features, features) / (5 * 6 * 7)
    torch.testing.assert_close(gram_matrix(features), expected)


def test_gram_matrix_stays_finite_where_half_precision_would_not() -> None:
    features = torch.full((1, 2, 256, 256), 200.0, dtype=torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        gram = gram_matrix(features)
    assert gram.dtype == torch.float32
    assert gram[0, 0, 1].item() == pytest.approx(200.0**2 / 2, rel=1e-5)


def test_style_forgets_where_things_are_and_perceptual_does_not() -> None:
    features = torch.rand(1, 4, 8, 8)
    shuffled = features.flatten(2)[..., torch.randperm(64)].reshape_as(features)
    assert style({"a": gram_matrix(features)}, {"a": gram_matrix(shuffled)}).item() == pytest.approx(0, abs=1e-6)
    assert perceptual({"a": features}, {"a": shuffled}) > 0.1


def test_perceptual_is_zero_at_equality_symmetric_and_sums_layers() -> None:
    one = {"a": torch.rand(1, 2, 3, 3), "b": torch.rand(1, 4, 2, 2)}
    two = {"a": one["a"] + 1, "b": one["b"] - 2}
    assert perceptual(one, one) == 0
    assert perceptual(one, two) == perceptual(two, one)
    assert perceptual(one, two).item() == pytest.approx(3)


def test_perceptual_refuses_other_layers() -> None:
    with pytest.raises(ValueError, match="same layers"):
        perceptual({"a": torch.zeros(1, 1, 1, 1)}, {"b": torch.zeros(1, 1, 1, 1)})


@pytest.mark.parametrize(
    "loss",
    [
        lambda x: total_variation(x),
        lambda x: l1(torch.zeros_like(x), x),
        lambda x: lsgan_generator([x]),
        lambda x: lsgan_discriminator([x], [x * 0.3]),
        lambda x: feature_matching([torch.zeros_like(x)], [x]),
        lambda x: style({"a": torch.zeros(1, 2, 2)}, {"a": gram_matrix(x)}),
    ],
    ids=["tv", "l1", "g", "d", "fm", "style"],
)
def test_gradients_agree_with_finite_differences(loss) -> None:
    # The losses work in float32, so finite differences need wide steps and a tolerance to match.
    assert gradcheck(loss, (double(1, 2, 3, 3),), eps=1e-2, atol=2e-2, rtol=2e-2, fast_mode=False)


# The plateau figure


def exact_f1(drawing: np.ndarray, target: np.ndarray) -> float:
    hits = (drawing & target).sum()
    return 2 * hits / (drawing.sum() + target.sum())


def test_soft_f1_of_binary_maps_at_tolerance_0_is_f1() -> None:
    rng = np.random.default_rng(0)
    drawing, target = rng.random((16, 16)) > 0.7, rng.random((16, 16)) > 0.6
    got = soft_f1(torch.tensor(drawing)[None, None].float(), torch.tensor(target)[None, None].float(), tolerance=0)
    assert got.item() == pytest.approx(exact_f1(drawing, target))


def test_soft_f1_allows_lines_two_pixels_off_and_no_more() -> None:
    line = torch.zeros(1, 1, 16, 16)
    line[..., 8] = 1
    assert soft_f1(line.roll(2, -1), line, tolerance=2).item() == pytest.approx(1)
    assert soft_f1(line.roll(3, -1), line, tolerance=2).item() == 0


def test_soft_f1_of_an_empty_map_is_nan_never_1() -> None:
    assert soft_f1(torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 8)).isnan().all()
