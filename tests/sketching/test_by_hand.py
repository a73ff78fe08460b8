"""The drawing mixture: each style does what its name says, faults are where they are said, and all of it repeats."""

from __future__ import annotations

import hashlib
import multiprocessing

import cv2
import numpy as np
import pytest
import torch
from drawn_faces import drawn_faces

from calisketch.sketching import DRAWING_STYLES, BaseDrawings, DrawingMixture, SketchMixture, base_drawings
from calisketch.sketching.by_hand.chance import Chance, Numbers
from calisketch.sketching.by_hand.drawing_styles import outline
from calisketch.sketching.by_hand.exaggeration import exaggeration, moved, pixels
from calisketch.sketching.by_hand.hatching import hatching
from calisketch.sketching.by_hand.incomplete import PARTS, left_out
from calisketch.sketching.by_hand.strokes import Strokes, by_hand, draw_strokes, gaps, trace

COUNT = 3
PLAIN = tuple(name for name in DRAWING_STYLES if name != "artist")


@pytest.fixture(scope="module")
def bases() -> list[BaseDrawings]:
    faces = drawn_faces(COUNT, 256)
    return [base_drawings(faces[k : k + 1]) for k in range(COUNT)]


def drawn(style: str, base: BaseDrawings, seed: int) -> Numbers:
    return DRAWING_STYLES[style](base, Chance(seed))


def share(style: str, bases: list[BaseDrawings], where: Numbers | float = 1.0) -> float:
    """Mean ink over some drawings, of a place."""
    area = np.broadcast_to(where, (256, 256))
    total = [(drawn(style, base, seed) * area).sum() for base in bases for seed in range(4)]
    return float(np.mean(total) / area.sum())


def hair(base: BaseDrawings) -> Numbers:
    """Where the face's hair is, well inside it: dark, above the brow."""
    dark = cv2.erode((base.tone > 160).astype(np.uint8), np.ones((9, 9), np.uint8)).astype(np.float64)
    dark[100:] = 0
    assert dark.sum() > 500
    return dark


def straight(length: float = 180.0) -> Strokes:
    x = np.arange(30.0, 30.0 + length, 2.5)
    return Strokes(np.stack([x, 0.3 * x + 60.0], 1), np.array([len(x)]), np.ones(1))


def width_of(ink: Numbers) -> float:
    """The median width of what is drawn: twice the distance to the paper, along the middle of the lines."""
    solid = (ink > 0.5).astype(np.uint8)
    distance = cv2.distanceTransform(solid, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    ridge = (distance > 0) & (distance >= cv2.dilate(distance, np.ones((3, 3), np.uint8)))
    return float(np.median(2 * distance[ridge] - 1))


@pytest.mark.parametrize("style", PLAIN)
def test_a_style_draws_a_face_in_range_and_another_one_each_time(style: str, bases: list[BaseDrawings]) -> None:
    sheets = [drawn(style, bases[0], seed) for seed in range(4)]
    for ink in sheets:
        assert ink.shape == (256, 256)
        assert ink.dtype == np.float64
        assert float(ink.min()) >= 0.0
        assert float(ink.max()) <= 1.0
        assert 0.002 < float(ink.mean()) < 0.5
    assert all(float(np.abs(sheets[0] - other).mean()) > 1e-3 for other in sheets[1:])
    assert np.array_equal(sheets[0], drawn(style, bases[0], 0))


@pytest.mark.parametrize("style", PLAIN)
def test_a_blank_photo_leaves_the_sheet_all_but_blank(style: str) -> None:
    base = base_drawings(torch.full((1, 3, 256, 256), 0.6))
    for seed in range(3):
        ink = drawn(style, base, seed)
        # Ruled lines, and the grain of grey paper, are there without a face.
        assert float(ink.mean()) < (0.06 if style in ("ruled_paper", "chalk", "eraser_ghosts") else 1e-3)


def test_hatching_darkens_what_is_dark_and_crossing_darkens_it_more(bases: list[BaseDrawings]) -> None:
    dark = hair(bases[0])
    inks = {style: share(style, bases[:1], dark) for style in ("hairlines", "hatching", "cross_hatching")}
    assert inks["hatching"] > inks["hairlines"] + 0.1
    assert inks["cross_hatching"] > inks["hatching"] + 0.05


def test_hatching_is_the_denser_the_darker_and_follows_the_form() -> None:
    darkness = np.tile(np.linspace(0.0, 1.0, 256), (256, 1))
    flow = np.zeros((128, 128, 2), np.uint8)
    flow[..., 0], flow[..., 1] = 1, 128  # cos 2a = -1: the form runs down
    strokes = hatching(darkness, flow, Chance(1), spacing=3.0, length=12.0, slant=0.0, along_form=1.0)
    ink = draw_strokes(strokes, 1.0, 1.0) / 255.0
    quarters = [float(ink[:, k : k + 64].mean()) for k in range(0, 256, 64)]
    assert quarters == sorted(quarters)
    assert quarters[0] < 0.03
    assert quarters[3] > 0.2
    steps = np.diff(strokes.points, axis=0)[np.diff(strokes.number) == 0]
    steps = steps[np.hypot(*steps.T) > 1.0]
    assert float(np.median(np.abs(steps[:, 1]) / np.hypot(*steps.T))) > 0.97
    across = hatching(darkness, flow, Chance(1), spacing=3.0, length=12.0, slant=0.0, along_form=0.0)
    steps = np.diff(across.points, axis=0)[np.diff(across.number) == 0]
    steps = steps[np.hypot(*steps.T) > 1.0]
    assert float(np.median(np.abs(steps[:, 0]) / np.hypot(*steps.T))) > 0.95


def test_filled_hair_is_nearly_solid_where_the_hair_is(bases: list[BaseDrawings]) -> None:
    dark = hair(bases[0])
    assert share("filled_hair", bases[:1], dark) > 0.5
    assert share("lines", bases[:1], dark) < 0.35


def test_pencil_has_grey_tones_that_lines_have_not(bases: list[BaseDrawings]) -> None:
    def grey(style: str) -> float:
        inks = [drawn(style, base, seed) for base in bases for seed in range(3)]
        return float(np.mean([((ink > 0.08) & (ink < 0.6)).mean() for ink in inks]))

    assert grey("pencil") > 3 * grey("hairlines")


@pytest.mark.parametrize("width", [0.75, 1.25, 2.0, 4.0, 6.0, 10.0, 14.0])
def test_a_stroke_has_the_width_it_is_given(width: float) -> None:
    ink = draw_strokes(straight(), width, 1.0) / 255.0
    length = 180.0 * np.hypot(1.0, 0.3)
    # A round tip adds half a disc at either end.
    assert float(ink.sum()) == pytest.approx(width * length + np.pi * width**2 / 4, rel=0.15)


def test_less_than_the_thinnest_stroke_has_less_ink() -> None:
    assert draw_strokes(straight(), 0.3, 1.0).sum() < 0.6 * draw_strokes(straight(), 0.75, 1.0).sum()
    assert draw_strokes(straight(), 1.0, 0.5).max() <= 0.52 * 255


def test_marker_lines_are_6_to_14_pixels_wide_and_hairlines_under_one_and_a_half(bases: list[BaseDrawings]) -> None:
    markers = [width_of(drawn("marker", base, seed)) for base in bases for seed in range(6)]
    assert all(5.4 < width < 15.0 for width in markers), markers
    assert max(markers) - min(markers) > 2.0
    for base in bases:
        assert float(draw_strokes(base.fine, 0.9, 1.0).mean()) > 0
        assert width_of(drawn("hairlines", base, 1)) < 1.6


def test_broken_lines_lack_a_fifth_to_a_half() -> None:
    strokes = straight()
    many = strokes
    for _ in range(40):
        many = many.and_also(strokes)
    left = [float(gaps(many, Chance(seed), share=0.3, period=10.0).mean()) for seed in range(5)]
    assert np.mean(left) == pytest.approx(0.7, abs=0.04)
    whole, ink = (
        draw_strokes(strokes, 1.5, 1.0),
        draw_strokes(strokes, 1.5, 1.0, gaps(strokes, Chance(3), share=0.4, period=12.0)),
    )
    assert 0.3 < ink.sum() / whole.sum() < 0.85


def test_doubled_lines_are_beside_each_other(bases: list[BaseDrawings]) -> None:
    single = draw_strokes(bases[0].fine, 1.2, 1.0)
    again = draw_strokes(by_hand(bases[0].fine, Chance(2), shift=1.6, turn=0.06, overshoot=0.15), 1.2, 1.0)
    both = np.maximum(single, again).sum() / single.sum()
    assert 1.3 < both < 2.2
    near = cv2.dilate(single, np.ones((13, 13), np.uint8)) > 0
    assert float(again[near].sum() / again.sum()) > 0.9


def test_light_pencil_is_light(bases: list[BaseDrawings]) -> None:
    for base in bases:
        for seed in range(6):
            assert 0.08 < float(drawn("light_pencil", base, seed).max()) < 0.5


def test_chalk_leaves_grain_on_the_ground_and_ruled_paper_leaves_lines(bases: list[BaseDrawings]) -> None:
    empty = np.zeros((256, 256))
    empty[:40, :30] = empty[:40, -30:] = 1  # the corners, where nothing is drawn
    left = share("chalk", bases, empty)
    assert 0.001 < left < 0.15
    assert share("hairlines", bases, empty) < 1e-3
    rows = [drawn("ruled_paper", bases[0], seed)[:, :24].mean(1) for seed in range(8)]
    assert sum(float(row.max()) > 0.03 for row in rows) >= 5
    assert all(float(np.median(row)) < 0.02 for row in rows)


def test_eraser_ghosts_are_faint_and_beside_the_lines(bases: list[BaseDrawings]) -> None:
    faint = [
        float(((ink > 0.03) & (ink < 0.4)).mean()) for ink in (drawn("eraser_ghosts", bases[0], k) for k in range(6))
    ]
    plain = [float(((ink > 0.03) & (ink < 0.4)).mean()) for ink in (drawn("broken", bases[0], k) for k in range(6))]
    assert np.mean(faint) > 2 * np.mean(plain)


def test_the_artist_is_the_learned_drawing_in_several_strengths(bases: list[BaseDrawings]) -> None:
    with pytest.raises(ValueError, match="needs base drawings"):
        drawn("artist", bases[0], 0)
    base = BaseDrawings(**{**bases[0].__dict__, "artist": bases[0].tone})
    sheets = [drawn("artist", base, seed) for seed in range(24)]
    means = sorted({round(float(ink.mean()), 3) for ink in sheets})
    assert len(means) > 6
    assert means[0] < 0.6 * base.tone.mean() / 255 < means[-1]
    place = base.tone > 128
    assert all(float(ink[place].mean()) > float(ink[~place].mean()) for ink in sheets)


@pytest.mark.parametrize("part", list(PARTS))
def test_a_missing_part_is_empty_and_the_rest_is_untouched(part: str, bases: list[BaseDrawings]) -> None:
    mask = left_out([part], Chance(1))
    assert 0.005 < float(mask.mean()) < 0.6
    keeps = {"ears": (128, 160), "neck": (128, 140), "hair": (128, 160), "nose": (96, 131), "mouth": (96, 131)}
    takes = {"ears": (64, 146), "neck": (110, 252), "hair": (128, 30), "nose": (128, 163), "mouth": (128, 201)}
    x, y = keeps.get(part, (128, 201))
    assert mask[y, x] == 0
    x, y = takes.get(part, (160, 131) if part == "right_eye" else (96, 131))
    assert mask[y, x] == 1

    always = DrawingMixture(exaggerated=0.0, incomplete=1.0, waver=0.0)
    index = next(k for k in range(400) if always.decisions(seed=0, epoch=0, index=[k])[0]["missing"] == [part])
    without = always.draw(bases[0], seed=0, epoch=0, index=index)
    whole = DrawingMixture(exaggerated=0.0, incomplete=0.0, waver=0.0).draw(bases[0], seed=0, epoch=0, index=index)
    core = cv2.erode((left_out([part], Chance(0)) > 0.99).astype(np.uint8), np.ones((17, 17), np.uint8)) > 0
    assert without[core].max(initial=0) == 0
    assert np.all(without <= whole)
    far = cv2.dilate((left_out([part], Chance(0)) > 0).astype(np.uint8), np.ones((25, 25), np.uint8)) == 0
    assert np.array_equal(without[far], whole[far])


def test_exaggeration_shifts_and_scales_by_at_most_what_it_says() -> None:
    seen = set()
    for seed in range(20):
        offset, changes = exaggeration(Chance(seed), 0.1)
        assert 2 <= len(changes) <= 4
        seen |= set(changes)
        for right, down, wide, high in changes.values():
            assert 3.2 <= abs(right) <= 6.4
            assert 3.2 <= abs(down) <= 6.4
            assert 0.05 - 1e-9 <= abs(wide - 1) <= 0.1 + 1e-9
            assert 0.05 - 1e-9 <= abs(high - 1) <= 0.1 + 1e-9
        # A smooth warp: no fold, so no line is torn or drawn twice.
        across, down = np.gradient(offset[..., 0], axis=1), np.gradient(offset[..., 1], axis=0)
        assert float(min(across.min(), down.min())) > -0.9
    assert len(seen) == 7


def test_an_exaggerated_feature_lies_where_the_change_says() -> None:
    seed = next(
        k
        for k in range(100)
        if set(exaggeration(Chance(k), 0.1)[1]) >= {"left eye"} and len(exaggeration(Chance(k), 0.1)[1]) == 2
    )
    offset, changes = exaggeration(Chance(seed), 0.1)
    sheet = np.zeros((256, 256), np.uint8)
    cv2.circle(sheet, (96, 128), 3, 255, -1)
    result = moved(sheet, offset).astype(np.float64)
    x, y = pixels()
    right, down, *_ = changes["left eye"]
    assert float((result * x).sum() / result.sum()) - 96 == pytest.approx(right, abs=2.5)
    assert float((result * y).sum() / result.sum()) - 128 == pytest.approx(down, abs=2.5)


def test_tracing_finds_a_line_once_and_where_it_is() -> None:
    sheet = draw_strokes(straight(), 2.0, 1.0)
    traced = trace(sheet)
    assert len(traced.lengths) == 1
    assert len(traced.points) == pytest.approx(188 / 2.5, abs=4)
    off = np.abs(traced.points[:, 1] - (0.3 * traced.points[:, 0] + 60.0)) / np.hypot(1, 0.3)
    assert float(off.max()) < 0.5
    assert trace(np.zeros((256, 256), np.uint8)).lengths.size == 0
    ring = np.zeros((256, 256), np.uint8)
    cv2.circle(ring, (128, 128), 50, 255, 2)
    [length] = trace(ring).lengths
    assert length * 2.5 == pytest.approx(2 * np.pi * 50, rel=0.15)


def test_base_drawings_come_back_from_plain_arrays_and_damage_is_told(bases: list[BaseDrawings]) -> None:
    kept = bases[0].arrays()
    again = BaseDrawings.from_arrays(kept)
    mixture = DrawingMixture()
    for index in range(12):
        first, second = (mixture.draw(base, seed=1, epoch=0, index=index) for base in (bases[0], again))
        assert np.array_equal(first, second)
    for name in kept:
        with pytest.raises(ValueError, match=name):
            BaseDrawings.from_arrays({key: value for key, value in kept.items() if key != name})
    with pytest.raises(ValueError, match="points"):
        BaseDrawings.from_arrays({**kept, "points": kept["points"][:-1]})
    with pytest.raises(ValueError, match="full"):
        BaseDrawings.from_arrays({**kept, "full": kept["full"].astype(np.float32)})


def test_a_drawing_depends_on_seed_epoch_and_index_alone() -> None:
    faces = drawn_faces(4, 256)
    mixture = DrawingMixture(exaggerated=0.5, incomplete=0.5)
    kept = [mixture.base(faces[k : k + 1]) for k in range(4)]
    together = mixture(faces, seed=5, epoch=2, index=[3, 4, 5, 6])
    assert together.shape == (4, 1, 256, 256)
    assert together.dtype == torch.float32
    assert torch.equal(together * 255, (together * 255).round())
    for k in (0, 3):
        sent = multiprocessing.Queue()
        sent.put(mixture)
        alone = sent.get(timeout=60)(faces[k : k + 1], seed=5, epoch=2, index=torch.tensor([3 + k]))
        assert torch.equal(alone[0], together[k])
    for other in ({"seed": 6}, {"epoch": 3}, {"index": [13, 14, 15, 16]}):
        arguments = {"seed": 5, "epoch": 2, "index": [3, 4, 5, 6]} | other
        differ = 0
        for k, base in enumerate(kept):
            changed = mixture.draw(base, **(arguments | {"index": arguments["index"][k]}))  # type: ignore[index, arg-type]
            differ += int(np.abs(changed / 255 - together[k, 0].numpy()).max() > 0.5)
        assert differ >= 3


def test_double_precision_draws_the_same_but_for_rounding() -> None:
    face = drawn_faces(1, 256)
    mixture = DrawingMixture()
    for index in (0, 7):
        single = mixture(face, seed=2026, epoch=0, index=[index])
        double = mixture(face.double(), seed=2026, epoch=0, index=[index])
        assert double.dtype == torch.float64
        assert float((single - double).abs().mean()) < 5e-3


def test_decisions_are_what_is_drawn_and_shares_are_kept(bases: list[BaseDrawings]) -> None:
    mixture = DrawingMixture({"marker": 3, "hairlines": 1}, exaggerated=0.25, incomplete=0.5)
    assert mixture.names == ("marker", "hairlines")
    decided = mixture.decisions(seed=1, epoch=0, index=range(2000))
    assert np.mean([each["style"] == "marker" for each in decided]) == pytest.approx(0.75, abs=0.04)
    assert np.mean([each["exaggerated"] for each in decided]) == pytest.approx(0.25, abs=0.04)
    assert np.mean([bool(each["missing"]) for each in decided]) == pytest.approx(0.5, abs=0.04)
    assert {part for each in decided for part in each["missing"]} == set(PARTS)
    for index in range(6):
        ink = mixture.draw(bases[0], seed=1, epoch=0, index=index) / 255
        assert (float((ink > 0.5).mean()) > 0.08) == (decided[index]["style"] == "marker")
        only = mixture.only(decided[index]["style"]).draw(bases[0], seed=1, epoch=0, index=index)
        assert np.array_equal(only, mixture.draw(bases[0], seed=1, epoch=0, index=index))


def test_settings_that_make_no_sense_are_refused() -> None:
    for settings, said in (
        ({"weights": {"crayon": 1}}, "unknown styles.*crayon"),
        ({"weights": {"marker": -1}}, "non-negative"),
        ({"weights": {"artist": 1}}, "needs a learned hand"),
        ({"exaggerated": 1.5}, "exaggerated must be a probability"),
        ({"most": 0.5}, "most must be a share"),
        ({"waver": -1}, "waver must be pixels"),
    ):
        with pytest.raises(ValueError, match=said):
            DrawingMixture(**settings)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="one number per photo, 2; got 1"):
        DrawingMixture()(drawn_faces(2, 64), seed=0, epoch=0, index=[0])
    with pytest.raises(ValueError, match="one photo"):
        base_drawings(drawn_faces(2, 64))


def test_other_sizes_are_drawn_at_256_and_brought_to_theirs() -> None:
    small = DrawingMixture(incomplete=0)(drawn_faces(1, 128), seed=0, epoch=0, index=[2])
    assert small.shape == (1, 1, 128, 128)
    assert 0.003 < float(small.mean()) < 0.5


def test_random_numbers_are_the_same_everywhere() -> None:
    # The first outputs of PCG64, seeded by SeedSequence(7), as NumPy's documentation promises for ever.
    assert Chance(7).uniforms(2).tolist() == pytest.approx([0.6250954663, 0.8972138010], abs=1e-9)
    assert np.array_equal(Chance(7).uniforms(4), np.random.Generator(np.random.PCG64(7)).random(4))
    normals = Chance(1).normals(20000)
    assert abs(float(normals.mean())) < 0.03
    assert float(normals.std()) == pytest.approx(1.0, abs=0.02)


def test_the_paper_s_mixture_draws_what_it_always_drew() -> None:
    sketch = SketchMixture()(drawn_faces(4, 64).double(), seed=3, epoch=1, index=range(4))
    digest = hashlib.sha256((sketch * 255).round().to(torch.uint8).numpy().tobytes()).hexdigest()
    assert digest == "8a16708d9aa98d48f6c09dff92d051b88bc488e4492f93fb11784623867b0e10"


def test_a_quiet_line_has_its_ink(bases: list[BaseDrawings]) -> None:
    ink = outline(bases[0], Chance(1), width=2.0, ink=1.0, taper=0.0)
    assert 0.01 < float(ink.mean()) < 0.2
