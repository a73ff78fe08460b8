"""Colour strokes: what is given of a photo's colours, as a hand would, a pure function of photo and seed."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from calisketch.sketching import ColorDomain, ColorStrokes

EXACT = ColorDomain(blur=(9, 9), colours=(5, 5), second_blur=(1,))
FILLED = {"wander": (0, 0), "shrink": (0, 0), "scribbled": 0.0, "keep": (1, 1), "smallest": 0.0}
NEAT = {"absent": 0.0, "exact": 0.0, **FILLED}


@pytest.fixture(scope="module")
def photo(small_faces: Tensor) -> Tensor:
    face = torch.nn.functional.interpolate(small_faces[:1], 128, mode="bilinear")[0]
    return (face * torch.linspace(0.4, 1, 128)).mul(255).round().div(255)


def shades(colours: Tensor) -> set[tuple[int, ...]]:
    """The colours that are given, as 8-bit triples."""
    return {tuple(shade) for shade in colours[:3, colours[3] > 0].mul(255).round().int().T.tolist()}


def test_colours_are_zero_where_none_are_given_and_a_seed_gives_the_same_again(photo: Tensor) -> None:
    photo = torch.nn.functional.interpolate(photo[None], 64, mode="area")[0]
    make, kept = ColorStrokes(), photo.clone()
    made = [make(photo, seed) for seed in range(24)]
    for seed, colours in enumerate(made):
        assert colours.shape == (4, 64, 64)
        assert colours.dtype == torch.float32
        assert set(colours[3].unique().tolist()) <= {0.0, 1.0}
        assert not colours[:3, colours[3] == 0].any()
        assert 0 <= colours.min() <= colours.max() <= 1
        assert torch.equal(colours, make(photo, seed))
    assert torch.equal(photo, kept)
    shares = [float(colours[3].mean()) for colours in made]
    assert min(shares) == 0
    assert max(shares) == 1
    assert len({round(share, 3) for share in shares if 0 < share < 1}) > 4, "and all sorts in between"


def test_the_shares_of_absent_and_of_exact_are_as_asked(photo: Tensor) -> None:
    small = torch.nn.functional.interpolate(photo[None], 16)[0]
    given = [float(ColorStrokes(absent=0.5, exact=0.3)(small, seed)[3].mean()) for seed in range(200)]
    assert 0.4 < np.mean([share == 0 for share in given]) < 0.6
    assert np.mean([share == 1 for share in given]) > 0.2
    assert all(not ColorStrokes(absent=1, exact=0)(small, seed).any() for seed in range(20))


def test_the_fixed_setting_is_the_whole_colour_domain(photo: Tensor) -> None:
    colours = ColorStrokes.fixed()(photo, 3)
    assert colours[3].all()
    assert len(shades(colours)) <= 5
    assert len(shades(ColorStrokes.fixed(colours=2, blur=25)(photo, 3))) <= 2
    near = (colours[:3] - photo).abs().mean()
    assert near < (photo.mean((1, 2), keepdim=True) - photo).abs().mean() / 2, "of this photo"


def test_a_hand_without_faults_paints_the_colour_domain(photo: Tensor) -> None:
    neat = ColorStrokes(EXACT, **NEAT)(photo, 5)
    assert neat[3].all()
    exact = ColorStrokes(EXACT, **{**NEAT, "exact": 1.0})(photo, 5)
    assert torch.equal(neat, exact)


def test_the_colours_themselves_are_not_disturbed(photo: Tensor) -> None:
    for seed in range(8):
        by_hand = ColorStrokes(EXACT, absent=0, exact=0)(photo, seed)
        assert shades(by_hand) <= shades(ColorStrokes(EXACT, absent=0, exact=1)(photo, seed))
        assert by_hand[3].any(), "none at all is what absent is for"


def test_paint_that_shrinks_ends_short_of_its_neighbours_but_not_of_the_rim(photo: Tensor) -> None:
    whole = ColorStrokes(EXACT, **NEAT)(photo, 5)
    shrunk = ColorStrokes(EXACT, **{**NEAT, "shrink": (6, 6)})(photo, 5)  # 3 pixels here
    given = shrunk[3].bool().numpy()
    assert torch.equal(shrunk[:3, given], whole[:3, given])
    levels = whole[:3].mul(255).round().int().permute(1, 2, 0).numpy() @ [65536, 256, 1]
    for shade in np.unique(levels):
        inside = distance_transform_edt(levels == shade)
        assert not (given & (levels == shade) & (inside <= 3)).any()
        assert given[inside > 3].all()
    assert given[0].any()
    assert given[:, -1].any()


def test_specks_take_their_surroundings_colour() -> None:
    photo = torch.zeros(3, 64, 64)
    photo[0] = 0.8
    photo[:, 30:33, 30:33] = torch.tensor([0.1, 0.9, 0.1])[:, None, None]
    two = ColorDomain(blur=(1, 1), colours=(2, 2), second_blur=(1,))
    assert len(shades(ColorStrokes(two, **NEAT)(photo, 0))) == 2
    painted = ColorStrokes(two, **{**NEAT, "smallest": 0.01})(photo, 0)
    assert shades(painted) == {(204, 0, 0)}
    assert painted[3].all()


def test_a_scribble_stays_within_its_region(photo: Tensor) -> None:
    whole = ColorStrokes(EXACT, **NEAT)(photo, 5)
    scribbled = ColorStrokes(EXACT, **{**NEAT, "scribbled": 1.0})(photo, 5)
    given = scribbled[3].bool()
    assert 0.02 < given.float().mean() < 0.9
    assert torch.equal(scribbled[:3, given], whole[:3, given])


def test_borders_that_wander_move_no_further_than_a_hand_does(photo: Tensor) -> None:
    halves = torch.zeros(3, 128, 128)
    halves[0, :, :64], halves[2, :, 64:] = 1, 1
    two = ColorDomain(blur=(1, 1), colours=(2, 2), second_blur=(1,))
    off = []
    for seed in range(8):
        moved = ColorStrokes(two, **{**NEAT, "wander": (6, 6)})(halves, seed)  # 3 pixels here
        border = moved[0].sum(1) - 64
        off.append(border)
        assert border.abs().max() < 16
    assert 1 < torch.cat(off).std() < 5


def test_it_neither_uses_nor_changes_any_global_generator(photo: Tensor) -> None:
    torch.manual_seed(1)
    cv2.setRNGSeed(1)
    one, state = ColorStrokes(absent=0, exact=0)(photo, 9), torch.get_rng_state()
    torch.manual_seed(2)
    cv2.setRNGSeed(2)
    assert torch.equal(one, ColorStrokes(absent=0, exact=0)(photo, 9))
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"absent": 1.5}, "absent must be a share in"),
        ({"absent": 0.6, "exact": 0.6}, "absent and exact must be at most 1 together"),
        ({"keep": (0.5, 1.2)}, "keep must be two numbers, at least 0 and at most 1"),
        ({"wander": (3, 1)}, "wander must be two numbers, at least 0, the lower first; got"),
        ({"brush": (3,)}, "brush must be two numbers"),
    ],
)
def test_settings_that_make_no_sense_are_named(options: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ColorStrokes(**options)  # type: ignore[arg-type]
