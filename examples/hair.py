"""Heads of hair for the drawn faces, in the frame of `features`."""

from __future__ import annotations

from hand import Hand, along


def long(hand: Hand) -> None:
    """Straight, parted in the middle, past the shoulders."""
    hand.both((129, 14), (95, 18), (62, 42), (45, 90), (38, 150), (33, 205), (30, 254), width=1.2, again=0.6)
    hand.both(
        (128, 22), (110, 40), (84, 74), (68, 112), (62, 150), (63, 190), (69, 232), (71, 252), width=1.1, again=0.5
    )
    hand.line((128, 14), (129, 26), width=0.8)
    for side in (-1, 1):
        x = lambda dx, side=side: 128 + side * dx  # noqa: E731
        hand.strands(
            [(x(2), 15), (x(3), 24)],
            [(x(44), 26), (x(22), 42)],
            [(x(80), 92), (x(60), 100)],
            [(x(88), 160), (x(67), 160)],
            [(x(95), 250), (x(60), 246)],
            count=13,
        )


def short_up(hand: Hand) -> None:
    """Short, brushed up, with a ragged top and no outline but the strands' ends."""
    edge = [(66, 118), (68, 92), (78, 72), (100, 61), (128, 64), (156, 60), (178, 70), (188, 92), (190, 118)]
    middle = [(60, 104), (62, 72), (78, 46), (104, 36), (130, 36), (154, 36), (180, 48), (196, 74), (197, 104)]
    rim = [(52, 92), (54, 52), (76, 24), (108, 12), (134, 9), (158, 13), (184, 28), (203, 56), (205, 92)]
    hand.strands(edge, middle, rim, count=44, width=0.85)
    hand.strands(middle, rim, count=30, width=0.8)
    hand.both((60, 126), (57, 106), (56, 84), (62, 58), width=0.9, again=0.6)
    hand.both((67, 94), (69, 110), (66, 128), width=0.8)


def bob(hand: Hand) -> None:
    """A bob to the jaw with a fringe down to the brows."""
    hand.both((130, 12), (92, 16), (58, 40), (42, 90), (38, 150), (44, 196), (58, 212), width=1.2, again=0.5)
    hand.both((58, 212), (68, 196), (66, 160), (66, 122), width=1.1)
    hand.strands(
        [(100, 16), (128, 14), (156, 16)],
        [(78, 50), (128, 50), (178, 50)],
        [(66, 108), (84, 103), (128, 101), (172, 103), (190, 108)],
        count=26,
    )
    for side in (-1, 1):
        x = lambda dx, side=side: 128 + side * dx  # noqa: E731
        hand.strands(
            [(x(34), 18), (x(40), 34)],
            [(x(78), 70), (x(62), 80)],
            [(x(86), 140), (x(66), 136)],
            [(x(72), 208), (x(63), 200)],
            count=10,
        )


def side(hand: Hand) -> None:
    """Short with a parting on the left of the picture, combed over."""
    hand.line(
        (60, 122),
        (55, 92),
        (60, 58),
        (82, 27),
        (120, 12),
        (160, 16),
        (190, 40),
        (202, 78),
        (198, 122),
        width=1.2,
        again=0.7,
    )
    hand.line((66, 118), (68, 94), (77, 72), (92, 55), width=1.0)
    hand.strands(
        [(93, 50), (92, 34), (104, 20)],
        [(118, 52), (124, 34), (134, 18)],
        [(154, 64), (166, 46), (172, 27)],
        [(186, 88), (193, 78), (199, 66)],
        count=20,
        width=0.85,
    )
    hand.line((93, 54), (116, 64), (146, 70), (172, 76), (187, 88), (191, 116), width=1.1, again=0.5)
    hand.strands([(90, 52), (84, 34)], [(75, 68), (64, 60)], [(66, 112), (58, 108)], count=9, width=0.8)
    hand.strands([(189, 88), (201, 80)], [(193, 102), (199, 102)], [(193, 122), (197, 122)], count=6, width=0.8)


def tied(hand: Hand) -> None:
    """Combed back tight, with a bun behind the crown."""
    hand.line(
        (63, 118),
        (56, 90),
        (66, 54),
        (94, 30),
        (128, 23),
        (164, 29),
        (190, 54),
        (200, 90),
        (193, 118),
        width=1.2,
        again=0.5,
    )
    hand.line((102, 27), (98, 14), (112, 4), (130, 2), (148, 5), (159, 15), (154, 27), width=1.1, again=0.6)
    hand.strands([(106, 20), (112, 26)], [(116, 8), (128, 18)], [(146, 10), (150, 22)], count=5)
    edge = [(66, 114), (73, 84), (96, 64), (128, 58), (160, 64), (183, 84), (190, 114)]
    hand.line(*edge, width=1.0)
    hand.strands(
        edge,
        [(63, 84), (88, 52), (128, 42), (168, 52), (193, 84)],
        [(92, 34), (118, 27), (138, 27), (166, 34)],
        count=24,
    )


def fringe(hand: Hand) -> None:
    """A man's full head of hair with a fringe over the forehead."""
    hand.line(
        (60, 130),
        (50, 98),
        (54, 58),
        (78, 26),
        (116, 11),
        (154, 13),
        (188, 36),
        (204, 74),
        (204, 104),
        (196, 130),
        width=1.2,
        again=0.6,
    )
    tips = [(66, 116), (72, 98), (92, 93), (112, 99), (132, 90), (150, 98), (168, 91), (184, 99), (191, 116)]
    hand.strands(
        [(104, 20), (120, 15), (138, 16), (160, 24)],
        [(68, 56), (104, 44), (144, 46), (186, 62)],
        tips,
        count=40,
        width=0.85,
    )
    hand.strands([(70, 44), (84, 40)], [(56, 84), (66, 80)], [(58, 124), (65, 118)], count=7, width=0.8)
    hand.strands([(186, 44), (172, 40)], [(200, 84), (190, 80)], [(198, 124), (191, 118)], count=7, width=0.8)


def wavy(hand: Hand) -> None:
    """Long and wavy, parted at the side."""
    left = [(112, 15), (82, 22), (58, 48), (50, 84), (38, 116), (42, 150), (28, 184), (35, 218), (24, 254)]
    right = [(112, 15), (156, 16), (190, 42), (204, 80), (217, 114), (211, 150), (226, 186), (217, 222), (230, 254)]
    inner_left = [(112, 20), (96, 46), (77, 80), (68, 116), (61, 150), (66, 182), (59, 214), (66, 252)]
    inner_right = [(112, 20), (138, 40), (170, 66), (188, 104), (195, 146), (189, 182), (197, 214), (190, 252)]
    for rim, inner in ((left, inner_left), (right, inner_right)):
        hand.line(*rim, width=1.2, again=0.6)
        hand.line(*inner, width=1.0, again=0.4)
        marks = [0.0, 0.15, 0.3, 0.45, 0.6, 0.72, 0.86, 0.98]
        curves = [[tuple(along(rim, mark)), tuple(along(inner, mark))] for mark in marks]
        hand.strands(*curves[:5], count=9)
        hand.strands(*curves[3:], count=9)


def cropped(hand: Hand) -> None:
    """Cropped close, a few lines and some hatching at the temples."""
    hand.line(
        (61, 124),
        (57, 96),
        (61, 66),
        (78, 38),
        (104, 21),
        (132, 17),
        (162, 24),
        (186, 46),
        (197, 76),
        (199, 100),
        (195, 124),
        width=1.1,
    )
    hand.line(
        (66, 126),
        (68, 106),
        (72, 88),
        (79, 92),
        (84, 74),
        (108, 66),
        (128, 68),
        (150, 65),
        (172, 73),
        (177, 91),
        (184, 88),
        (188, 106),
        (190, 126),
        width=0.9,
    )
    hand.strands(
        [(80, 72), (104, 62), (128, 64), (152, 62), (176, 72)],
        [(76, 56), (102, 46), (128, 46), (154, 46), (180, 56)],
        count=13,
        width=0.7,
    )
    hand.strands([(70, 88), (67, 118)], [(61, 84), (60, 112)], count=7, width=0.7)
    hand.strands([(186, 88), (189, 118)], [(195, 84), (196, 112)], count=7, width=0.7)
