"""What a stage looks like from outside: its plateau figure over the validation set, and a grid of pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
import torch
from lightning_fabric import Fabric
from PIL import Image, ImageDraw
from torch import Tensor

from ..stage import Batch, Stage
from ..whole_files import written_whole
from .ema import Ema

LINE_DRAWINGS = ("sketch", "refined", "contour", "detail", "artist")
CAPTIONS = {"contour": "HED", "detail": "Canny", "face": "generated"}
CAPTION_HEIGHT = 16


@dataclass
class Plateau:
    """The best figure so far, and how many evaluations ago that was."""

    best: float = float("inf")
    since: int = 0

    def update(self, figure: float) -> None:
        """Takes one evaluation in."""
        if figure < self.best:
            self.best, self.since = figure, 0
        else:
            self.since += 1

    def reached(self, patience: int | None) -> bool:
        """Whether a stage with this patience ends."""
        return patience is not None and self.since >= patience


@contextmanager
def averaged(averages: Mapping[str, Ema]) -> Iterator[None]:
    """Within this context every followed network holds its moving average and is in evaluation mode."""
    with ExitStack() as stack:
        for average in averages.values():
            stack.enter_context(average.swapped())
            training = average.module.training
            average.module.eval()
            stack.callback(average.module.train, training)
        yield


@torch.no_grad()
def validation_figures(
    fabric: Fabric, stage: Stage, batches: list[Batch], averages: Mapping[str, Ema]
) -> dict[str, float]:
    """The stage's figures over all validation samples, in averaged weights, each a mean over the samples.

    Where a stage has ``plateau_figures``, one figure a sample, each counts once, and NaN (nothing to judge) not at all.

    Returns:
        "plateau", the plateau figure, lower is better; and what else a stage with ``figures`` measures, by name.
    """
    own = batches[fabric.global_rank :: fabric.world_size]
    sums: dict[str, list[float]] = {}  # a figure's total, and of how many samples
    with averaged(averages):
        for batch in own or batches[:1]:  # one without samples of its own needs the names all the same
            with fabric.autocast():
                found = _figures(stage, batch)
            for name, (total, count) in found.items():
                so_far = sums.setdefault(name, [0.0, 0.0])
                if own:
                    so_far[0] += total
                    so_far[1] += count
    if fabric.world_size > 1:  # each has judged its part, and all have to come to the same decision
        values = torch.tensor(list(sums.values()), dtype=torch.float64, device=fabric.device)
        sums = dict(zip(sums, fabric.all_reduce(values, reduce_op="sum").tolist(), strict=True))
    return {name: total / count if count else float("nan") for name, (total, count) in sums.items()}


def _figures(stage: Stage, batch: Batch) -> dict[str, tuple[float, float]]:
    """A batch's figures by name: each one's sum over samples, and of how many."""
    if (judge := getattr(stage, "plateau_figures", None)) is not None:
        judged = judge(batch).cpu().double()  # Apple's GPU has no double precision
        return {"plateau": (float(judged.nansum()), float((~judged.isnan()).sum()))}
    measure = getattr(stage, "figures", None)
    found = {"plateau": stage.plateau_figure(batch)} if measure is None else measure(batch)
    count = float(len(batch["photo"]))
    return {name: (float(figure) * count, count) for name, figure in found.items()}


@torch.no_grad()
def preview_grid(fabric: Fabric, stage: Stage, batch: Batch, averages: Mapping[str, Ema]) -> Image.Image:
    """One row a sample, one captioned column a picture the stage has, line drawings dark on white."""
    with averaged(averages), fabric.autocast():
        columns = stage.preview(batch)
    return compose_grid(columns)


def compose_grid(columns: Mapping[str, Tensor]) -> Image.Image:
    """A picture of ``columns``: each (B, 1 or 3, H, W) in [0, 1], one channel or a line drawing's name = ink on 0."""
    pictures = {name: _to_rgb(name, images) for name, images in columns.items()}
    rows, height, width = next(iter(pictures.values())).shape[:3]
    canvas = Image.new("RGB", (len(pictures) * width, CAPTION_HEIGHT + rows * height), "white")
    pen = ImageDraw.Draw(canvas)
    for column, (name, images) in enumerate(pictures.items()):
        pen.text((column * width + 4, 2), CAPTIONS.get(name, name), fill="black")
        for row in range(rows):
            canvas.paste(Image.fromarray(images[row]), (column * width, CAPTION_HEIGHT + row * height))
    return canvas


def save_picture(picture: Image.Image, path: Path) -> None:
    """Writes a PNG aside and renames it, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with written_whole(path) as aside:
            picture.save(aside, "PNG")
    except OSError as error:
        raise OSError(
            f"the picture {path} cannot be written: {error}. Mend that, and run the command again."
        ) from error


def _to_rgb(name: str, images: Tensor) -> Any:
    images = images.detach().float().cpu().clamp(0, 1)
    if images.shape[1] == 1:
        images = (1 - images if name in LINE_DRAWINGS else images).expand(-1, 3, -1, -1)
    return (images.permute(0, 2, 3, 1) * 255).round().numpy().astype(numpy.uint8)
