from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from drawn_faces import drawn_faces
from torch import Tensor

import calisketch.sketching
from calisketch.sketching import (
    DEFORM_RANGES,
    DEFORM_UNIFORMS,
    SIMPLIFY_RANGES,
    STYLES,
    SketchMixture,
    Style,
    deform,
    draw_parameters,
    draw_uniforms,
    simplify,
    xdog,
)
from calisketch.sketching import styles as styles_module
from calisketch.sketching.styles import PARAMETERS, sample_seed, sample_uniforms

Drawing = Callable[..., Tensor]


def drawings() -> dict[str, tuple[Drawing, dict[str, tuple[float, float]]]]:
    """Every step as photo -> sketch with its ranges; random fields fixed per sample."""

    def with_uniforms(name: str) -> Drawing:
        style = STYLES[name]
        if not style.uniforms:
            return style.draw
        return lambda photo, **given: style.draw(photo, uniforms=numbers(len(photo), style.uniforms), **given)

    def numbers(batch: int, count: int) -> Tensor:
        return sample_uniforms(0, 0, range(batch), count)

    steps: dict[str, tuple[Drawing, dict[str, tuple[float, float]]]] = {
        name: (with_uniforms(name), dict(style.ranges)) for name, style in STYLES.items()
    }
    steps["simplify"] = (lambda photo, **given: simplify(xdog(photo), **given), SIMPLIFY_RANGES)
    steps["deform"] = (
        lambda photo, **given: deform(xdog(photo), numbers(len(photo), DEFORM_UNIFORMS), **given),
        DEFORM_RANGES,
    )
    return steps


EACH = pytest.mark.parametrize("step", list(drawings()))


@EACH
def test_gives_one_channel_in_range_in_single_precision(step: str, faces: Tensor) -> None:
    draw, ranges = drawings()[step]
    ink = draw(faces, **draw_parameters(ranges, len(faces), torch.Generator().manual_seed(1)))
    assert ink.shape == (4, 1, 128, 128)
    assert ink.dtype == torch.float32
    assert float(ink.min()) >= 0.0
    assert float(ink.max()) <= 1.0
    assert 0.003 < float(ink.mean()) < 0.5
    assert float(ink.amax((1, 2, 3)).min()) > 0.8  # every sample has a clear line


@EACH
@pytest.mark.parametrize("tone", [0.0, 0.05, 0.5, 1.0])
def test_a_blank_photo_gives_no_ink(step: str, tone: float) -> None:
    draw, ranges = drawings()[step]
    blank = torch.full((2, 3, 64, 64), tone)
    assert float(draw(blank).max()) < 1e-5
    parameters = draw_parameters(ranges, 2, torch.Generator().manual_seed(2))
    assert float(draw(blank, **parameters).max()) < 1e-5


@EACH
def test_a_batch_equals_its_samples_one_by_one(step: str, small_faces: Tensor) -> None:
    draw, ranges = drawings()[step]
    parameters = draw_parameters(ranges, len(small_faces), torch.Generator().manual_seed(3))
    together = draw(small_faces, **parameters)
    # The first sample alone: the fixed random fields above depend on the row.
    alone = draw(small_faces[:1], **{name: value[:1] for name, value in parameters.items()})
    assert float((together[:1] - alone).abs().mean()) < 1e-5


@EACH
def test_a_float_and_one_value_per_sample_agree(step: str, small_faces: Tensor) -> None:
    draw, ranges = drawings()[step]
    for name, (low, high) in ranges.items():
        value = 0.5 * (low + high)
        torch.testing.assert_close(
            draw(small_faces, **{name: value}), draw(small_faces, **{name: torch.full((4,), value)}), atol=1e-4, rtol=0
        )


@EACH
def test_grey_photos_are_taken_too_and_other_sides(step: str) -> None:
    draw, _ = drawings()[step]
    wide = drawn_faces(2, 96).mean(1, keepdim=True)[..., :70]
    assert draw(wide).shape == (2, 1, 96, 70)


@pytest.mark.parametrize("step", ["xdog", "photocopy", "fdog", "contour", "simplify"])
def test_sizes_look_alike(step: str) -> None:
    draw, _ = drawings()[step]
    share = {size: float(draw(drawn_faces(2, size)).mean()) for size in (64, 128, 256)}
    assert 0.6 < share[64] / share[256] < 1.7, share
    assert 0.75 < share[128] / share[256] < 1.35, share


def test_the_mixture_repeats_with_the_seed_and_changes_with_seed_epoch_and_index(small_faces: Tensor) -> None:
    mixture = SketchMixture()
    first = mixture(small_faces, seed=5, epoch=2, index=[3, 4, 5, 6])
    assert torch.equal(first, mixture(small_faces, seed=5, epoch=2, index=torch.tensor([3, 4, 5, 6])))
    for other in ({"seed": 6}, {"epoch": 3}, {"index": [13, 14, 15, 16]}):
        changed = mixture(small_faces, **({"seed": 5, "epoch": 2, "index": [3, 4, 5, 6]} | other))
        assert int(((changed - first).abs().amax((1, 2, 3)) > 0.5).sum()) >= 3


def test_the_mixture_does_not_see_batch_mates_or_the_global_state(small_faces: Tensor) -> None:
    mixture = SketchMixture()
    photos = small_faces.repeat(3, 1, 1, 1)
    together = mixture(photos, seed=0, epoch=0, index=range(12))
    torch.manual_seed(123)
    order = torch.randperm(12)
    shuffled = mixture(photos[order], seed=0, epoch=0, index=order)
    # Equal up to rounding: convolutions of another batch size may add in another order.
    assert float((shuffled - together[order]).abs().mean()) < 1e-5
    state = torch.get_rng_state()
    alone = torch.cat([mixture(photos[k : k + 1], seed=0, epoch=0, index=[k]) for k in range(12)])
    assert float((alone - together).abs().mean()) < 1e-5
    assert torch.equal(torch.get_rng_state(), state)


def test_the_mixture_draws_styles_simplification_and_deformation_as_often_as_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    count = 1200
    tones = {name: (k + 1) / 8 for k, name in enumerate(STYLES)}
    for name, tone in tones.items():
        flat = Style(lambda photo, tone=tone, **_: torch.full_like(photo[:, :1], tone), {})
        monkeypatch.setitem(styles_module.STYLES, name, flat)
    simplified, deformed = [], []
    monkeypatch.setattr(styles_module, "simplify", lambda s, **_: simplified.append(len(s)) or s)
    monkeypatch.setattr(styles_module, "deform", lambda s, u, **_: deformed.append(len(s)) or s)
    drawn = SketchMixture()(torch.zeros(count, 3, 2, 2), seed=0, epoch=1, index=range(count))[:, 0, 0, 0]
    for tone in tones.values():
        assert float((drawn == tone).float().mean()) == pytest.approx(0.25, abs=0.04)
    assert sum(simplified) / count == pytest.approx(0.5, abs=0.04)
    assert sum(deformed) / count == pytest.approx(0.5, abs=0.04)


def test_a_mixture_of_one_style_is_that_style_within_its_ranges(small_faces: Tensor) -> None:
    mixture = SketchMixture({"xdog": 1.0}, simplify=0.0, deform=0.0, ranges={"xdog": {"sigma": (1.5, 1.5)}})
    drawn = mixture(small_faces, seed=1, epoch=1, index=range(4))
    columns = sample_uniforms(1, 1, range(4), 3 + PARAMETERS)[:, 3:]
    expected = {
        name: low + (high - low) * columns[:, k] for k, (name, (low, high)) in enumerate(STYLES["xdog"].ranges.items())
    }
    torch.testing.assert_close(drawn, xdog(small_faces, **(expected | {"sigma": 1.5})), atol=1e-4, rtol=0)


def test_the_order_of_the_weights_changes_nothing(small_faces: Tensor) -> None:
    weights = {"xdog": 0.2, "photocopy": 0.3, "fdog": 0.1, "contour": 0.4}
    there = SketchMixture(weights)(small_faces, seed=0, epoch=0, index=range(4))
    back = SketchMixture(dict(reversed(weights.items())))(small_faces, seed=0, epoch=0, index=range(4))
    assert torch.equal(there, back)


def test_the_mixture_stays_in_single_precision_under_autocast(small_faces: Tensor) -> None:
    plain = SketchMixture()(small_faces, seed=0, epoch=0, index=range(4))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = SketchMixture()(small_faces, seed=0, epoch=0, index=range(4))
    assert cast.dtype == torch.float32
    assert torch.equal(plain, cast)


def test_sample_seeds_are_the_same_in_every_version_and_distinct() -> None:
    assert sample_seed(0, 0, 0) == 4808561972376111626
    assert sample_seed(7, 3, 41) == 8011417442218629613
    seeds = {sample_seed(s, e, k) for s in range(5) for e in range(20) for k in range(20)}
    assert len(seeds) == 2000


def test_no_two_steps_share_a_column() -> None:
    assert all(len(style.ranges) <= PARAMETERS for style in STYLES.values())
    assert max(len(SIMPLIFY_RANGES), len(DEFORM_RANGES)) <= PARAMETERS


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weights": {"xdog": 1.0, "canny": 1.0}}, "unknown styles.*canny"),
        ({"weights": {"xdog": -1.0, "fdog": 2.0}}, "non-negative"),
        ({"weights": {"xdog": 0.0}}, "positive sum"),
        ({"simplify": 1.5}, "simplify must be a probability"),
        ({"ranges": {"xdogg": {}}}, "unknown step"),
        ({"ranges": {"xdog": {"sgima": (1, 2)}}}, "sgima"),
        ({"ranges": {"xdog": {"sigma": 3}}}, r"ranges\.xdog\.sigma must be two numbers"),
        ({"ranges": {"xdog": {"sigma": (3, 1)}}}, "the lower first"),
        ({"ranges": {"xdog": {"sigma": (1, float("nan"))}}}, "the lower first"),
    ],
)
def test_a_wrong_setting_is_named(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SketchMixture(**arguments)


def test_every_photo_needs_its_index(small_faces: Tensor) -> None:
    with pytest.raises(ValueError, match="one number per photo, 4; got 3"):
        SketchMixture()(small_faces, seed=0, epoch=0, index=[0, 1, 2])


def test_no_device_is_named_in_the_package() -> None:
    folder = Path(calisketch.sketching.__file__).parent
    own = ["kernels", "xdog", "photocopy", "fdog", "contour", "simplify", "deform", "styles"]
    for name in own:
        text = (folder / f"{name}.py").read_text()
        assert '"cpu"' not in text
        assert '"cuda"' not in text
        assert ".cuda(" not in text


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_gpu_draws_what_the_cpu_draws(small_faces: Tensor) -> None:
    mixture = SketchMixture()
    here = mixture(small_faces, seed=0, epoch=0, index=range(4))
    there = mixture(small_faces.cuda(), seed=0, epoch=0, index=range(4))
    assert there.device.type == "cuda"
    assert float((there.cpu() - here).abs().mean()) < 2e-3


def test_draws_with_uniforms_come_from_the_generator_given() -> None:
    first = draw_uniforms(3, 5, torch.Generator().manual_seed(8))
    assert torch.equal(first, draw_uniforms(3, 5, torch.Generator().manual_seed(8)))
    assert not torch.equal(first[0], first[1])
