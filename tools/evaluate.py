"""Measure a model on a prepared folder: python tools/evaluate.py data.root=data/cuhk128 track=synthetic split=test"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import hydra
import torch
from omegaconf import DictConfig
from PIL import Image

from calisketch import CaliSketch
from calisketch.datasets import PreparedPhotos
from calisketch.evaluation import psnr, ssim, to_uint8
from calisketch.sketching.styles import SketchMixture

ROOT = Path(__file__).resolve().parents[1]


def stacked(photos: PreparedPhotos, kind: str) -> torch.Tensor:
    return torch.stack([photos[number][kind] for number in range(len(photos))])


def measure(cfg: DictConfig) -> dict[str, object]:
    if cfg.track not in ("synthetic", "artist"):
        raise ValueError(f"track must be synthetic or artist; got {cfg.track!r}.")
    if not isinstance(cfg.seed, int):
        raise ValueError(f"seed must be a whole number; got {cfg.seed!r}.")
    model = CaliSketch.from_pretrained(cfg.model)
    artist = "artist" if cfg.track == "artist" else None
    photos = PreparedPhotos(cfg.data.root, cfg.split, model.size, artist)
    photo = stacked(photos, "photo")
    drawn = (
        stacked(photos, "artist") if artist else SketchMixture()(photo, seed=cfg.seed, epoch=0, index=range(len(photo)))
    )
    face, refined = model.synthesize(
        drawn, cfg.strength, True, align=False, page=False, polarity="light_on_dark", batch_size=cfg.batch_size
    )
    mean_face = stacked(PreparedPhotos(cfg.data.root, "train", model.size), "photo").mean(0).expand_as(photo)
    figures: dict[str, object] = {"model": str(cfg.model), "split": cfg.split, "track": cfg.track, "N": len(photo)}
    figures |= {"size": model.size, "seed": cfg.seed, "strength": cfg.strength}
    for name, made in (("model", face), ("mean training face", mean_face)):
        figures[f"PSNR, {name}"] = round(float(psnr(photo, made).mean()), 3)
        figures[f"SSIM, {name}"] = round(float(ssim(photo, made).mean()), 4)
    out = Path(cfg.out)
    out.mkdir(parents=True, exist_ok=True)
    name = f"{cfg.split}-{cfg.track}"
    (out / f"{name}.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    lines = [(1 - image).expand(-1, 3, -1, -1) for image in (drawn, refined)]
    rows = torch.cat([*lines, face, photo], dim=3)[:: max(1, len(photo) // 10)]
    Image.fromarray(to_uint8(torch.cat(list(rows), dim=1)[None])[0]).save(out / f"{name}.png")
    return figures


@hydra.main(version_base="1.3", config_path=str(ROOT / "conf"), config_name="evaluate")
def main(cfg: DictConfig) -> None:
    try:
        figures = measure(cfg)
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")
    print("\n".join(f"{name}: {value}" for name, value in figures.items()))
    print("columns of the picture: sketch, calibrated, face, photo")


if __name__ == "__main__":
    main()
