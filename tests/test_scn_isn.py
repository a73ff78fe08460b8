"""SCN and ISN against Eq. 2-10 written out once more, and what may and may not receive gradients."""

from __future__ import annotations

import pytest
import torch
from skimage.morphology import skeletonize

from calisketch.isn import ISN, PERCEPTUAL_LAYERS, STYLE_LAYERS
from calisketch.losses import DiffAugment, blurred_dice, dice, f1_of_lines, line_cross_entropy
from calisketch.networks import LPIPS, VGG19, EncoderDecoder, SNPatchGAN
from calisketch.scn import SCN


def small_scn(**arguments) -> SCN:
    torch.manual_seed(0)
    return SCN(EncoderDecoder(1, 1, width=4, blocks=1), SNPatchGAN(1, width=4), **arguments)


def small_isn(**arguments) -> ISN:
    torch.manual_seed(0)
    generator = EncoderDecoder(1, 3, width=4, blocks=1, head="tanh")
    return ISN(generator, SNPatchGAN(3, width=4), VGG19.random(width=2), **arguments)


@pytest.fixture
def batch(generator: torch.Generator) -> dict[str, torch.Tensor]:
    def image(channels: int) -> torch.Tensor:
        return torch.rand(2, channels, 32, 32, generator=generator)

    return {
        "photo": image(3),
        "contour": image(1),
        "detail": (image(1) > 0.8).float(),
        "sketch": image(1),
        "refined": image(1).requires_grad_(),
        "face": image(3).requires_grad_(),
        "index": torch.tensor([3, 1]),
    }


def test_scn_generator_terms_are_eq_4(batch: dict[str, torch.Tensor]) -> None:
    scn = small_scn().eval()  # no power iteration, so that two passes agree
    fake = scn.discriminator(batch["refined"])
    expected = {"scn/adversarial": ((fake.logits[0] - 1) ** 2).mean() / 2}
    for name in ("contour", "detail"):
        real = scn.discriminator(batch[name]).features
        expected[f"scn/{name}"] = 10 * sum((r - f).abs().mean() for r, f in zip(real, fake.features, strict=True))
    got = scn.generator_losses(batch)
    assert got.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(got[name], value)


def test_scn_discriminator_term_averages_eq_3_over_both_edge_maps(batch: dict[str, torch.Tensor]) -> None:
    scn = small_scn().eval()
    contour, detail, fake = (scn.discriminator(batch[n]).logits[0] for n in ("contour", "detail", "refined"))
    expected = (((contour - 1) ** 2).mean() + ((detail - 1) ** 2).mean()) / 4 + (fake**2).mean() / 2
    got = scn.discriminator_losses(batch)
    torch.testing.assert_close(got["scn/discriminator"], expected)


@pytest.mark.parametrize(("off", "left"), [("contour", "detail"), ("detail", "contour")])
def test_scn_can_learn_from_one_edge_map_alone(batch: dict[str, torch.Tensor], off: str, left: str) -> None:
    scn = small_scn(**{off: False})
    del batch[off]  # so that it cannot be looked at
    assert set(scn.generator_losses(batch)) == {"scn/adversarial", f"scn/{left}"}
    scn.discriminator_losses(batch)
    scn.scores(batch)
    assert 0 <= scn.plateau_figure(batch["refined"], batch) <= 1


def test_scn_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="contour, detail or both"):
        small_scn(contour=False, detail=False)


def test_the_product_as_target_takes_the_place_of_both_edge_maps(batch: dict[str, torch.Tensor]) -> None:
    scn = small_scn(targets={"product": 1.0}).eval()
    product = batch["contour"] * batch["detail"]
    fake = scn.discriminator(batch["refined"])
    real = scn.discriminator(product)
    matching = 10 * sum((r - f).abs().mean() for r, f in zip(real.features, fake.features, strict=True))
    got = scn.generator_losses(batch)
    assert got.keys() == {"scn/adversarial", "scn/product"}
    torch.testing.assert_close(got["scn/product"], matching)
    told = ((real.logits[0] - 1) ** 2).mean() / 2 + (fake.logits[0] ** 2).mean() / 2
    torch.testing.assert_close(scn.discriminator_losses(batch)["scn/discriminator"], told)


def test_targets_are_weighed_in_both_losses(batch: dict[str, torch.Tensor]) -> None:
    scn = small_scn(targets={"thin_hed": 1.0, "canny": 3.0}, adversarial_weight=0.0, calibration_weight=2.0).eval()
    alone = small_scn(contour=False, calibration_weight=2.0).eval()
    got = scn.generator_losses(batch)
    assert got["scn/adversarial"] == 0
    torch.testing.assert_close(got["scn/detail"], 3 * alone.generator_losses(batch)["scn/detail"])
    thin = batch["contour"] * (got_thin(batch["contour"]) > 0)
    real = [scn.discriminator(each).logits[0] for each in (batch["detail"], thin)]
    fake = scn.discriminator(batch["refined"]).logits[0]
    expected = (3 * ((real[0] - 1) ** 2).mean() + ((real[1] - 1) ** 2).mean()) / 8 + (fake**2).mean() / 2
    torch.testing.assert_close(scn.discriminator_losses(batch)["scn/discriminator"], expected)


def got_thin(contour: torch.Tensor) -> torch.Tensor:
    return torch.stack([torch.from_numpy(skeletonize(each[0].numpy() >= 0.5))[None] for each in contour]).float()


def test_both_weights_of_1_are_the_papers_preset_bit_for_bit(batch: dict[str, torch.Tensor]) -> None:
    paper, named = small_scn(), small_scn(targets={"canny": 1.0, "hed": 1.0})
    for losses in ("discriminator_losses", "generator_losses", "scores"):
        first, second = getattr(paper, losses)(batch), getattr(named, losses)(batch)
        assert list(first) == list(second)
        assert all(torch.equal(first[name], second[name]) for name in first)


def test_direct_losses_are_added_where_they_have_weight(batch: dict[str, torch.Tensor]) -> None:
    weights = {"cross_entropy_weight": 2.0, "positive_weight": 3.0, "dice_weight": 0.5, "blurred_weight": 4.0}
    scn = small_scn(targets={"product": 2.0}, **weights).eval()
    product, refined = batch["contour"] * batch["detail"], batch["refined"]
    got = scn.generator_losses(batch)
    torch.testing.assert_close(got["scn/cross_entropy"], 2 * 2 * line_cross_entropy(refined, product, 3.0))
    torch.testing.assert_close(got["scn/dice"], 2 * 0.5 * dice(refined, product))
    torch.testing.assert_close(got["scn/blurred"], 2 * 4 * blurred_dice(refined, product))


def test_what_lies_outside_the_photo_is_seen_by_no_loss(batch: dict[str, torch.Tensor]) -> None:
    inside = torch.ones(2, 1, 32, 32)
    inside[..., :10, :] = 0
    scn = small_scn(targets={"product": 1.0, "hed": 1.0}, dice_weight=1.0, judged_by="product").eval()
    other = {name: value.detach().clone() for name, value in batch.items()}
    for name in ("contour", "detail", "refined"):
        other[name][..., :10, :] = 1 - other[name][..., :10, :]
    for losses in ("discriminator_losses", "generator_losses", "scores"):
        first = getattr(scn, losses)({**batch, "inside": inside})
        second = getattr(scn, losses)({**other, "inside": inside})
        assert all(torch.equal(first[name], second[name]) for name in first)
    figures = [scn.plateau_figures(each["refined"], {**each, "inside": inside}) for each in (batch, other)]
    assert torch.equal(*figures)


def test_the_plateau_of_the_new_preset_is_the_f1_of_lines(batch: dict[str, torch.Tensor]) -> None:
    scn = small_scn(targets={"product": 1.0}, judged_by="product")
    product = batch["contour"] * batch["detail"]
    torch.testing.assert_close(scn.plateau_figures(batch["refined"], batch), 1 - f1_of_lines(batch["refined"], product))
    assert float(scn.plateau_figure(product, batch)) == 0


@pytest.mark.parametrize("judged_by", [None, "product"])
def test_images_without_lines_are_left_out_of_the_plateau(
    batch: dict[str, torch.Tensor], judged_by: str | None
) -> None:
    scn = small_scn(contour=False, judged_by=judged_by)
    whole = scn.plateau_figure(batch["refined"][:1], {name: value[:1] for name, value in batch.items()})
    batch["detail"][1] = 0
    figures = scn.plateau_figures(batch["refined"], batch)
    assert figures.isnan().tolist() == [False, True]
    torch.testing.assert_close(scn.plateau_figure(batch["refined"], batch), whole)


def test_unknown_targets_and_weights_are_refused() -> None:
    with pytest.raises(ValueError, match=r"some of hed, canny, product, thin_hed; got edges"):
        small_scn(targets={"edges": 1.0})
    with pytest.raises(ValueError, match="a weight above 0"):
        small_scn(targets={"product": 0.0})
    with pytest.raises(ValueError, match=r"targets\.hed"):
        small_scn(targets={"hed": -1.0})
    with pytest.raises(ValueError, match="judged_by must be one of"):
        small_scn(judged_by="face")
    with pytest.raises(ValueError, match="dice_weight"):
        small_scn(dice_weight=-1.0)


def test_discriminators_never_reach_the_generators_output(batch: dict[str, torch.Tensor]) -> None:
    small_scn().discriminator_losses(batch)["scn/discriminator"].backward()
    small_isn().discriminator_losses(batch)["isn/discriminator"].backward()
    assert batch["refined"].grad is None
    assert batch["face"].grad is None


def test_isn_terms_are_eq_6(batch: dict[str, torch.Tensor]) -> None:
    isn = small_isn().eval()
    photo, face = batch["photo"], batch["face"]
    real, fake = (isn.vgg(image, (*PERCEPTUAL_LAYERS, *STYLE_LAYERS)) for image in (photo, face))

    def gram(f: torch.Tensor) -> torch.Tensor:
        return torch.einsum("bihw,bjhw->bij", f, f) / f[0].numel()

    expected = {
        "isn/l1": (photo - face).abs().mean(),
        "isn/adversarial": 0.1 * ((isn.discriminator(face).logits[0] - 1) ** 2).mean() / 2,
        "isn/perceptual": 0.1 * sum((real[n] - fake[n]).abs().mean() for n in PERCEPTUAL_LAYERS),
        "isn/style": 200 * sum((gram(real[n]) - gram(fake[n])).abs().mean() for n in STYLE_LAYERS),
        "isn/tv": face.diff(dim=-1).abs().mean() + face.diff(dim=-2).abs().mean(),
    }
    got = isn.generator_losses(batch)
    assert got.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(got[name], value, msg=name)


def test_kept_features_change_no_term_whatever_the_batch(batch: dict[str, torch.Tensor]) -> None:
    keeping, computing = small_isn().eval(), small_isn(keep_features=False).eval()
    expected = computing.generator_losses(batch)
    for _ in range(2):  # the first pass fills, the second reads
        got = keeping.generator_losses(batch)
        for name, value in expected.items():
            torch.testing.assert_close(got[name], value, rtol=1e-5, atol=1e-6)
    swapped = {name: tensor.flip(0) for name, tensor in batch.items()}
    again = keeping.generator_losses(swapped)
    torch.testing.assert_close(again["isn/perceptual"], expected["isn/perceptual"], rtol=1e-5, atol=1e-6)


def test_features_are_read_by_index_until_forgotten(batch: dict[str, torch.Tensor]) -> None:
    isn = small_isn().eval()
    first = isn.generator_losses(batch)["isn/perceptual"]
    other = {**batch, "photo": torch.zeros_like(batch["photo"])}
    assert torch.equal(isn.generator_losses(other)["isn/perceptual"], first)
    isn.forget_photos()
    assert not torch.equal(isn.generator_losses(other)["isn/perceptual"], first)


def test_a_full_feature_store_warns_and_goes_on(batch: dict[str, torch.Tensor]) -> None:
    isn, free = small_isn(feature_bytes=1).eval(), small_isn().eval()
    with pytest.warns(UserWarning, match="keep_features=False"):
        got = isn.generator_losses(batch)
    torch.testing.assert_close(got["isn/style"], free.generator_losses(batch)["isn/style"])


def test_scores_leave_the_discriminators_as_they_were(batch: dict[str, torch.Tensor]) -> None:
    for network in (small_scn(), small_isn()):
        before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        scores = network.scores(batch)
        assert len(scores) == 2
        assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def test_plateau_figures_are_best_at_the_target(batch: dict[str, torch.Tensor]) -> None:
    isn, scn = small_isn(), small_scn(contour=False)
    assert isn.plateau_figure(batch["photo"], batch) == 0
    assert isn.plateau_figure(batch["face"], batch) > 0
    assert scn.plateau_figure(batch["detail"], batch).item() == pytest.approx(0, abs=1e-6)


def test_further_isn_terms_are_what_they_say(batch: dict[str, torch.Tensor]) -> None:
    isn = small_isn(lpips_weight=0.5, feature_matching_weight=2.0, r1_weight=3.0, lpips=LPIPS.random()).eval()
    photo, face = batch["photo"], batch["face"]
    got = isn.generator_losses(batch)
    torch.testing.assert_close(got["isn/lpips"], 0.5 * isn.lpips(photo, face).mean())
    real, fake = isn.discriminator(photo).features, isn.discriminator(face).features
    expected = 2 * sum((r - f).abs().mean() for r, f in zip(real, fake, strict=True))
    torch.testing.assert_close(got["isn/feature_matching"], expected)
    leaf = photo.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(isn.discriminator(leaf).logits[0].mean((1, 2, 3)).sum(), leaf)
    penalty = 3 * gradient.square().sum((1, 2, 3)).mean() / 2
    torch.testing.assert_close(isn.discriminator_losses(batch)["isn/r1"], penalty)


def test_without_vggs_terms_no_vgg_is_needed_or_looked_through(batch: dict[str, torch.Tensor]) -> None:
    generator = EncoderDecoder(1, 3, width=4, blocks=1, head="tanh")
    isn = ISN(generator, SNPatchGAN(3, width=4), None, perceptual_weight=0, style_weight=0)
    assert isn.frozen == {}
    assert set(isn.generator_losses(batch)) == {"isn/l1", "isn/adversarial", "isn/tv"}
    torch.testing.assert_close(isn.plateau_figure(batch["face"], batch), (batch["photo"] - batch["face"]).abs().mean())


def test_the_discriminator_sees_photo_and_face_through_one_augmentation(batch: dict[str, torch.Tensor]) -> None:
    isn = small_isn(augment=DiffAugment(), feature_matching_weight=1.0).eval()
    same = {**batch, "face": batch["photo"].clone().requires_grad_()}
    assert isn.generator_losses(same)["isn/feature_matching"] == 0  # one draw for both
    assert isn.generator_losses(batch)["isn/feature_matching"] > 0
