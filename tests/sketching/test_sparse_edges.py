"""PI-REC's edges: scikit-image's Canny, at a sigma drawn for each sample, and 8 % of its pixels gone."""

from __future__ import annotations

import pytest
import torch
from skimage.color import rgb2gray
from skimage.feature import canny as skimage_canny

from calisketch.sketching import SparseEdges


def drawn(edges: SparseEdges, photo: torch.Tensor, *index: int, seed: int = 0, epoch: int = 0) -> torch.Tensor:
    return edges(photo, seed=seed, epoch=epoch, index=index)


def test_without_confusion_they_are_scikit_images_at_sigma_3_of_256_pixels(faces: torch.Tensor) -> None:
    photo = faces.mul(255).round().div(255)
    edges = drawn(SparseEdges.fixed(), photo, 0, 1, 2, 3)
    for k in range(4):
        expected = skimage_canny(rgb2gray(photo[k].permute(1, 2, 0).double().numpy()), sigma=1.5)  # 128 is half of 256
        assert (edges[k, 0].numpy() == expected).all()
    assert 0.005 < edges.mean() < 0.2


def test_about_8_percent_of_the_pixels_are_reset_and_none_is_added(faces: torch.Tensor) -> None:
    photo, whole = faces[:1].expand(40, -1, -1, -1), drawn(SparseEdges((3, 3), dropped=0), faces[:1], 0)
    edges = drawn(SparseEdges((3, 3)), photo, *range(40))
    assert set(edges.unique().tolist()) == {0.0, 1.0}
    assert not (edges * (1 - whole)).any()
    count = 40 * float(whole.sum())
    assert abs(float(edges.sum()) / count - 0.92) < 4 * (0.92 * 0.08 / count) ** 0.5
    assert drawn(SparseEdges((3, 3), dropped=1.0), photo, *range(40)).sum() == 0


def test_every_sample_has_a_sigma_of_its_own_and_more_smoothing_leaves_fewer_edges(faces: torch.Tensor) -> None:
    noisy = (faces[:1] + 0.3 * torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    counts = drawn(SparseEdges(dropped=0), noisy.expand(24, -1, -1, -1), *range(24)).sum((1, 2, 3))
    assert len(set(counts.tolist())) > 12
    least, most = (float(drawn(SparseEdges.fixed(sigma), noisy, 0).sum()) for sigma in (5.4, 2.5))
    assert 0.9 * least <= counts.min() < 1.2 * least < 0.8 * most < counts.max() <= 1.1 * most


def test_a_sample_depends_on_seed_epoch_and_its_own_index_alone(faces: torch.Tensor) -> None:
    edges = SparseEdges()
    together = drawn(edges, faces[:3], 7, 8, 9)
    alone = torch.cat([drawn(edges, faces[k : k + 1], 7 + k) for k in range(3)])
    assert torch.equal(together, alone)
    assert torch.equal(together, edges(faces[:3], seed=0, epoch=0, index=torch.tensor([7, 8, 9])))
    for other in (drawn(edges, faces[:3], 6, 7, 8), drawn(edges, faces[:3], 7, 8, 9, epoch=1)):
        assert not torch.equal(together, other)
    assert not torch.equal(together, drawn(edges, faces[:3], 7, 8, 9, seed=1))


def test_bad_arguments_are_explained(faces: torch.Tensor) -> None:
    for sigma in ((5.4, 2.5), (3.0,), (0.0, 2.0), (float("nan"), 2.0), (2.0, float("inf"))):
        with pytest.raises(ValueError, match="sigma must be"):
            SparseEdges(sigma)
    with pytest.raises(ValueError, match="dropped must be a probability"):
        SparseEdges(dropped=1.5)
    with pytest.raises(ValueError, match="one number per photo, 4; got 1"):
        drawn(SparseEdges(), faces, 0)
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        drawn(SparseEdges(), faces * 255, 0, 1, 2, 3)
