from __future__ import annotations

import numpy
import torch

from calisketch.training.validation import CAPTION_HEIGHT, Plateau, compose_grid


def test_grid_shows_lines_dark_on_white_and_photos_as_they_are():
    sketch = torch.zeros(2, 1, 32, 64)
    sketch[1, 0, 5, 7] = 1.0
    photo = torch.zeros(2, 3, 32, 64)
    photo[:, 0] = 0.5
    grid = numpy.asarray(compose_grid({"sketch": sketch, "photo": photo}))
    assert grid.shape == (CAPTION_HEIGHT + 2 * 32, 2 * 64, 3)
    second = grid[CAPTION_HEIGHT + 32 :]
    assert second[5, 7].tolist() == [0, 0, 0]
    assert second[5, 8].tolist() == [255, 255, 255]
    assert second[5, 64 + 8].tolist() == [128, 0, 0]
    captions = grid[:CAPTION_HEIGHT]
    assert (captions[:, :64] < 128).any()
    assert (captions[:, 64:] < 128).any()


def test_bfloat16_pictures_are_shown_too():
    compose_grid({"face": torch.rand(1, 3, 32, 32, dtype=torch.bfloat16)})


def test_plateau_counts_evaluations_without_a_better_figure():
    plateau = Plateau()
    for figure in (3.0, 2.0, 2.0, 2.5):
        plateau.update(figure)
    assert (plateau.best, plateau.since) == (2.0, 2)
    assert plateau.reached(2)
    assert not plateau.reached(3)
    assert not plateau.reached(None)
    plateau.update(float("nan"))
    assert plateau.since == 3
