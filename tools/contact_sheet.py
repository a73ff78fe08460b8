"""Lay the sketch styles of a photo folder side by side, to look at them.

    python tools/contact_sheet.py --photos <folder> --out outputs/contact_sheet.png
    python tools/contact_sheet.py --photos <folder> --drawings --beside <folder of drawings> [--artist <model folder>]

One row a photo; columns: photo, each style at its default parameters, XDoG simplified, FDoG deformed, and two draws of
the paper's mixture; with --drawings, photo and every style of the drawing mixture, and below them drawings by people.
Photos are cropped to their central square and resized, with --drawings placed by their eyes; ink is black on white.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from calisketch.datasets.preparing.aligned import align_photo
from calisketch.sketching import DEFORM_UNIFORMS, STYLES, DrawingMixture, SketchMixture, deform, draw_uniforms, simplify
from calisketch.sketching.kernels import REFERENCE_SIDE

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}
LABEL_HEIGHT = 18


def pick(folder: Path, count: int) -> list[Path]:
    """`count` photos spread evenly over the folder's sorted files."""
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not files:
        raise SystemExit(f"--photos: no image ({', '.join(sorted(SUFFIXES))}) in {folder}.")
    count = min(count, len(files))
    return [files[k * len(files) // count] for k in range(count)]


def read(path: Path, size: int) -> Tensor:
    """The central square of a photo file, (3, size, size) in [0, 1]."""
    image = Image.open(path).convert("RGB")
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    image = image.crop((left, top, left + side, top + side)).resize((size, size), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1).float() / 255.0


def columns(photo: Tensor, seed: int) -> dict[str, Tensor]:
    """Name of each column -> (B, 3, H, W) for the eye, black on white."""
    generator = torch.Generator().manual_seed(seed)
    batch = photo.shape[0]
    drawn: dict[str, Tensor] = {}
    for name, style in STYLES.items():
        extra = {"uniforms": draw_uniforms(batch, style.uniforms, generator)} if style.uniforms else {}
        drawn[name] = style.draw(photo, **extra)
    drawn["xdog, simplified"] = simplify(drawn["xdog"])
    drawn["fdog, deformed"] = deform(drawn["fdog"], draw_uniforms(batch, DEFORM_UNIFORMS, generator))
    mixture = SketchMixture()
    for epoch in (0, 1):
        drawn[f"mixture, epoch {epoch}"] = mixture(photo, seed=seed, epoch=epoch, index=range(batch))
    return {"photo": photo} | {name: (1.0 - ink).expand(-1, 3, -1, -1) for name, ink in drawn.items()}


def placed(path: Path) -> Tensor:
    """A photo file placed by its eyes, (3, 256, 256) in [0, 1]; its central square where no face is found."""
    aligned = align_photo(np.asarray(Image.open(path).convert("RGB")), REFERENCE_SIDE)
    return (
        read(path, REFERENCE_SIDE) if aligned is None else torch.from_numpy(aligned[0]).permute(2, 0, 1).float() / 255
    )


def drawing_columns(photo: Tensor, seed: int, artist: Path | None) -> dict[str, Tensor]:
    """As `columns`, with every style of the drawing mixture; nothing exaggerated and nothing left out."""
    mixture = DrawingMixture(artist=artist)
    bases = [mixture.base(photo[k : k + 1]) for k in range(len(photo))]
    shown = {"photo": photo}
    for name in mixture.names:
        alone = mixture.only(name, exaggerated=0.0, incomplete=0.0)
        drawn = [alone.draw(base, seed=seed, epoch=0, index=k) for k, base in enumerate(bases)]
        shown[name] = 1.0 - torch.from_numpy(np.stack(drawn))[:, None].expand(-1, 3, -1, -1) / 255.0
    return shown


def with_people_s(page: Image.Image, drawings: list[Path], size: int) -> Image.Image:
    """The page, and below it drawings by people in rows."""
    across = page.width // size
    rows = -(-len(drawings) // across)
    larger = Image.new("RGB", (page.width, page.height + LABEL_HEIGHT + rows * size), "white")
    larger.paste(page)
    ImageDraw.Draw(larger).text((4, page.height + 3), "by people", fill="black")
    for k, path in enumerate(drawings):
        tile = Image.fromarray((read(path, size).permute(1, 2, 0).numpy() * 255).round().astype(np.uint8))
        larger.paste(tile, (k % across * size, page.height + LABEL_HEIGHT + k // across * size))
    return larger


def sheet(shown: dict[str, Tensor]) -> Image.Image:
    """All columns in one labelled image."""
    pixels = torch.cat([torch.cat(list(column), dim=1) for column in shown.values()], dim=2)
    array = (pixels.clamp(0.0, 1.0) * 255.0).round().byte().permute(1, 2, 0).cpu().numpy()
    page = Image.new("RGB", (array.shape[1], array.shape[0] + LABEL_HEIGHT), "white")
    page.paste(Image.fromarray(array), (0, LABEL_HEIGHT))
    width = array.shape[1] // len(shown)
    for k, name in enumerate(shown):
        ImageDraw.Draw(page).text((k * width + 4, 3), name, fill="black")
    return page


def main() -> None:
    parser = argparse.ArgumentParser(description="Lay the sketch styles of a photo folder side by side.")
    parser.add_argument("--photos", type=Path, required=True, help="folder of photos")
    parser.add_argument("--out", type=Path, default=Path("outputs/contact_sheet.png"), help="PNG to write")
    parser.add_argument("--count", type=int, default=6, help="photos to show, spread over the folder")
    parser.add_argument("--size", type=int, default=256, help="side of each picture in pixels")
    parser.add_argument("--seed", type=int, default=0, help="of the mixture and the deformation")
    parser.add_argument("--device", default="cpu", help="where the styles run")
    parser.add_argument("--drawings", action="store_true", help="show the drawing mixture, at 256 pixels")
    parser.add_argument("--artist", type=Path, default=None, help="with --drawings, the learned hand's model folder")
    parser.add_argument("--beside", type=Path, nargs="+", default=[], help="folders of drawings by people")
    arguments = parser.parse_args()
    if not arguments.photos.is_dir():
        raise SystemExit(f"--photos must be a folder; got {arguments.photos}.")
    files = pick(arguments.photos, max(arguments.count, 1))
    if arguments.drawings:
        page = sheet(drawing_columns(torch.stack([placed(path) for path in files]), arguments.seed, arguments.artist))
    else:
        photo = torch.stack([read(path, arguments.size) for path in files])
        page = sheet(columns(photo.to(arguments.device), arguments.seed))
    if arguments.beside:
        each = -(-10 // len(arguments.beside))
        page = with_people_s(page, [path for folder in arguments.beside for path in pick(folder, each)][:10], 256)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    page.save(arguments.out)
    print(f"wrote {arguments.out} ({page.width}x{page.height})")


if __name__ == "__main__":
    main()
