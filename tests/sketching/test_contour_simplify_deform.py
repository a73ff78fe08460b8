from __future__ import annotations

import numpy as np
import pytest
import reference_styles as reference
import torch
from torch import Tensor

from calisketch.sketching import CONTOUR_UNIFORMS, DEFORM_UNIFORMS, contour, deform, draw_uniforms, fdog, simplify, xdog
from calisketch.sketching.deform import DROP_CELLS, GAP_UNIFORMS, MOUTH, WARP_CELLS, keep_mask


def lone_strokes() -> Tensor:
    """A horizontal stroke 6 pixels wide, and two vertical ones of 2 pixels with 2 between them."""
    drawing = torch.zeros(1, 1, 256, 256)
    drawing[..., 60:66, 30:220] = 1.0
    drawing[..., 100:220, 100:102] = 1.0
    drawing[..., 100:220, 104:106] = 1.0
    return drawing


def test_contour_equals_the_formula_written_with_scipy(faces: Tensor, generator: torch.Generator) -> None:
    uniforms = draw_uniforms(len(faces), CONTOUR_UNIFORMS, generator)
    drawn = contour(faces, uniforms=uniforms)
    for k, photo in enumerate(faces):
        image = photo.permute(1, 2, 0).double().numpy()
        expected = reference.contour(image, uniforms=uniforms[k].double().numpy())
        difference = np.abs(drawn[k, 0].numpy() - expected)
        assert difference.mean() < 2e-3
        assert np.quantile(difference, 0.98) < 0.05


def test_contour_is_the_sparsest_style_and_a_little_off(faces: Tensor, generator: torch.Generator) -> None:
    uniforms = draw_uniforms(len(faces), CONTOUR_UNIFORMS, generator)
    in_place, moved = contour(faces), contour(faces, uniforms=uniforms)
    assert float(in_place.mean()) < 0.6 * float(xdog(faces).mean())
    assert float(in_place.mean()) > 0.005
    overlap = (in_place * moved).sum() / (in_place * in_place).sum()
    assert 0.05 < float(overlap) < 0.9  # displaced, not lost
    assert float(moved.sum() / in_place.sum()) == pytest.approx(1.0, abs=0.15)


def test_contour_draws_a_step_edge_once_where_it_is() -> None:
    photo = torch.full((1, 1, 128, 128), 0.2)
    photo[..., 50:] = 0.8
    ink = contour(photo, width=4.0)  # two pixels at this size
    row = ink[0, 0, 64]
    assert float((row * torch.arange(128)).sum() / row.sum()) == pytest.approx(49.5, abs=0.2)
    assert float(row.sum()) == pytest.approx(2.0, abs=0.2)


def test_contour_ignores_noise_on_a_wall(generator: torch.Generator) -> None:
    wall = (0.5 + 0.01 * torch.randn(1, 3, 128, 128, generator=generator)).clamp(0, 1)
    assert float(contour(wall).mean()) < 0.002


def test_simplify_equals_the_formula_written_with_numpy(faces: Tensor) -> None:
    sketch = xdog(faces)
    for drawn, given in zip(simplify(sketch), sketch, strict=True):
        difference = np.abs(drawn[0].numpy() - reference.simplify(given[0].double().numpy()))
        assert np.quantile(difference, 0.995) < 0.02


def test_simplify_thins_and_merges() -> None:
    simple = simplify(lone_strokes(), sigma=2.5, width=2.0)[0, 0]
    assert float(simple[:, 120].sum()) == pytest.approx(2.0, abs=0.2)  # six pixels became two
    rows = simple[160]
    assert float(rows.sum()) == pytest.approx(2.2, abs=0.4)  # two strokes became one,
    assert float(rows[102:104].sum()) > 0.8 * float(rows.sum())  # between them


def test_simplify_drops_specks_and_keeps_a_simple_drawing() -> None:
    speck = torch.zeros(1, 1, 128, 128)
    speck[..., 60:62, 60:62] = 1.0
    assert float(simplify(speck).sum()) < 0.5
    once = simplify(lone_strokes(), sigma=2.5)
    twice = simplify(once, sigma=2.5)
    assert float((once - twice).abs().sum() / once.sum()) < 0.25
    assert float((lone_strokes() - once).abs().sum() / lone_strokes().sum()) > 0.5


def test_deform_equals_the_formula_written_with_scipy(faces: Tensor, generator: torch.Generator) -> None:
    sketch = fdog(faces)
    uniforms = draw_uniforms(len(faces), DEFORM_UNIFORMS, generator)
    for k, drawn in enumerate(deform(sketch, uniforms)):
        expected = reference.deform(sketch[k, 0].double().numpy(), uniforms[k].double().numpy())
        np.testing.assert_allclose(drawn[0], expected, atol=5e-3)


def test_deform_by_nothing_changes_nothing(faces: Tensor, generator: torch.Generator) -> None:
    sketch = fdog(faces)
    uniforms = draw_uniforms(len(faces), DEFORM_UNIFORMS, generator)
    still = deform(sketch, uniforms, warp=0.0, drop=0.0, mouth=0.0, jaw=0.0)
    torch.testing.assert_close(still, sketch, atol=1e-4, rtol=0)


def keeping(batch: int, generator: torch.Generator, **settings: float) -> Tensor:
    uniforms = draw_uniforms(batch, DROP_CELLS**2 + GAP_UNIFORMS, generator)
    return keep_mask(torch.ones(batch, 1, 128, 128), uniforms, **({"drop": 0.0, "mouth": 0.0, "jaw": 0.0} | settings))


@pytest.mark.parametrize("drop", [0.05, 0.2, 0.4])
def test_the_stated_share_is_dropped(drop: float, generator: torch.Generator) -> None:
    assert float(1.0 - keeping(24, generator, drop=drop).mean()) == pytest.approx(drop, abs=0.04)


def test_gaps_open_at_mouth_and_jaw_only(generator: torch.Generator) -> None:
    gone = 1.0 - keeping(40, generator, mouth=10.0).mean(0)[0]
    x, y = int(MOUTH[0] / 2), int(MOUTH[1] / 2)
    assert float(gone[y - 12 : y + 12, x - 20 : x + 20].sum() / gone.sum()) > 0.95
    gone = 1.0 - keeping(40, generator, jaw=20.0).mean(0)[0]
    assert float(gone[:75].sum()) < 0.2 * float(gone.sum())  # nothing at brow and hair
    assert float(gone[60:100, 50:78].max()) == 0.0  # nor at nose and mouth
    assert float(gone[115:122, 40:88].mean()) > 0.05  # but at the chin


def test_deform_bends_smoothly(generator: torch.Generator) -> None:
    drawing = torch.zeros(1, 1, 256, 256)
    drawing[..., 126:130, :] = 1.0
    uniforms = draw_uniforms(1, DEFORM_UNIFORMS, generator)
    bent = deform(drawing, uniforms, warp=4.0, drop=0.0, mouth=0.0, jaw=0.0)[0, 0, :, 20:236]
    height = (bent * torch.arange(256.0)[:, None]).sum(0) / bent.sum(0)
    assert float(height.std()) > 0.5
    assert float(height.diff().abs().max()) < 0.4


def test_deform_names_random_numbers_of_the_wrong_shape() -> None:
    with pytest.raises(ValueError, match=r"uniforms must be \(2, .*draw_uniforms"):
        deform(torch.zeros(2, 1, 32, 32), torch.zeros(2, 2 * WARP_CELLS**2))
