"""The discriminator of faces: what it looks at, and that it can be sure where there is something to tell."""

from __future__ import annotations

import pytest
import torch

from calisketch.losses import hinge_discriminator
from calisketch.networks import LPIPS, CropDiscriminator, FaceDiscriminator, ProjectedDiscriminator

pytestmark = pytest.mark.usefixtures("one_thread")


def test_there_is_a_scale_for_each_layer_that_it_looks_at(generator: torch.Generator) -> None:
    features = LPIPS.random().features(torch.rand(2, 3, 128, 128, generator=generator))
    logits = ProjectedDiscriminator((1, 4), width=8)(features)
    assert [each.shape[:2] for each in logits] == [(2, 1), (2, 1)]
    assert [each.shape[-1] for each in logits] == [features[1].shape[-1] // 2, features[4].shape[-1] // 2]
    for layers in ((), (5,), (1, 1)):
        with pytest.raises(ValueError, match="layers must be"):
            ProjectedDiscriminator(layers)


def test_a_crop_is_judged_with_its_strokes_and_its_kind(generator: torch.Generator) -> None:
    network = CropDiscriminator(kinds=3, width=4).eval()
    torch.nn.init.normal_(network.kind)
    crops = torch.rand(2, 3, 32, 32, generator=generator)
    strokes = torch.rand(2, 1, 32, 32, generator=generator)
    kinds = torch.tensor([0, 2])
    answer = network(crops, strokes, kinds)
    assert answer.logits[0].shape == (2, 1, 4, 4)
    assert [each.shape[1] for each in answer.features] == [4, 8, 16]
    for other in ((1 - crops, strokes, kinds), (crops, 1 - strokes, kinds), (crops, strokes, torch.tensor([1, 2]))):
        assert not torch.equal(network(*other).logits[0][0], answer.logits[0][0])


def test_its_logits_leave_the_margin_where_photos_and_faces_can_be_told_apart(generator: torch.Generator) -> None:
    """Without its free gains its logits would stay about 0, and so would the generator's gradient."""
    torch.manual_seed(0)
    network = FaceDiscriminator(width=16, crops=False)
    lpips = LPIPS.random()
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3, betas=(0.5, 0.99))
    for _ in range(30):
        noise = torch.rand(4, 3, 64, 64, generator=generator)
        smooth = torch.nn.functional.avg_pool2d(noise, 5, 1, 2)
        real, fake = (network.projected(lpips.features(images)) for images in (noise, smooth))
        optimizer.zero_grad()
        loss = hinge_discriminator(real, fake)
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.5
