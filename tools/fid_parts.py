"""Where a model's FID comes from: python tools/fid_parts.py MODEL data/cuhk256 [--split validation] [--out parts.json].

Faces are measured as painted, and with one part taken from the true photo: its colour or its brightness, what is finer
or what is coarser than k pixels. The part without which FID falls most is what Inception sees is wrong. Beside them
what mere processing does, to the faces and to the photos: colour averaged over squares, blur, JPEG.

Every set is compared with the training photos, by FID and KID. With --split train (the default) there are as many faces
as photos and both are of the same people, so that what is true all over gives 0; the faces of people a model was
trained on are better than others'.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from kornia.color import rgb_to_grayscale as luma
from kornia.filters import box_blur
from torch import Tensor

from calisketch import CaliSketch
from calisketch.datasets import PreparedPhotos
from calisketch.evaluation.measures.distribution import InceptionFeatures, frechet_distance, kernel_distance
from calisketch.evaluation.measures.pixel import to_uint8
from calisketch.evaluation.running.protocol import synthetic_samples
from calisketch.networks.heads import SmoothChroma


def as_jpeg(images: Tensor, quality: int) -> Tensor:
    """Written as JPEG, colour at half the side (4:2:0), and read again."""
    how = [cv2.IMWRITE_JPEG_QUALITY, quality]
    how += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420]
    read = [cv2.imdecode(cv2.imencode(".jpg", image[..., ::-1], how)[1], 1)[..., ::-1] for image in to_uint8(images)]
    return torch.from_numpy(np.stack(read).copy()).permute(0, 3, 1, 2).float() / 255


def parts(face: Tensor, photo: Tensor) -> Iterator[tuple[str, Tensor]]:
    """What is measured, by name: (B, 3, H, W) in [0, 1], made of faces and photos of the same people."""
    yield "as painted", face
    yield "the photos themselves", photo
    yield "with the photo's colour", (luma(face) + photo - luma(photo)).clamp(0, 1)
    yield "with the photo's brightness", (luma(photo) + face - luma(face)).clamp(0, 1)
    for side in (3, 7, 17):
        yield (
            f"with what is finer than {side} px of the photo",
            (box_blur(face, side) + photo - box_blur(photo, side)).clamp(0, 1),
        )
        yield (
            f"with what is coarser than {side} px of the photo",
            (box_blur(photo, side) + face - box_blur(face, side)).clamp(0, 1),
        )
    processed: dict[str, Callable[[Tensor], Tensor]] = {
        "colour averaged over 2 px": SmoothChroma(2),
        "colour averaged over 4 px": SmoothChroma(4),
        "blurred over 3 px": lambda images: box_blur(images, 3),
        "JPEG of quality 75": lambda images: as_jpeg(images, 75),
    }
    for name, process in processed.items():
        yield f"faces, {name}", process(face)
        yield f"photos, {name}", process(photo)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="name of a shipped model, a model folder, or https://HOST/FOLDER#sha256=HEX")
    parser.add_argument("data", type=Path, help="a prepared folder")
    parser.add_argument("--split", default="train", choices=("train", "validation", "test"))
    parser.add_argument("--seed", type=int, default=2026, help="of the human-like sketches (default: 2026)")
    parser.add_argument("--out", type=Path, help="where the figures are written, too, as JSON")
    options = parser.parse_args()
    try:
        if options.out is not None and not options.out.absolute().parent.is_dir():
            raise FileNotFoundError(f"there is no folder {options.out.parent} to write into. Make it first.")
        measure(options)
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        sys.exit(f"error: {error}")


def measure(options: argparse.Namespace) -> None:
    """Prints the table, and writes the figures."""
    model = CaliSketch.from_pretrained(options.model, precision="fp32")
    features = InceptionFeatures.from_pretrained()
    samples = synthetic_samples(PreparedPhotos(options.data, options.split, model.size), seed=options.seed)
    training = PreparedPhotos(options.data, "train", model.size)
    reference = features(torch.stack([training[index]["photo"] for index in range(len(training))]))
    face = torch.cat([model.from_batch({"sketch": sketch}) for sketch in samples.sketch.split(4)])
    figures = {}
    print(f"{len(samples)} faces of {options.data}, {options.split}, against {len(training)} training photos\n")
    print("| | FID | KID |\n|---|---|---|")
    for name, images in parts(face, samples.photo):
        made = features(images)
        figures[name] = {"fid": frechet_distance(reference, made), "kid": kernel_distance(reference, made).value}
        print(f"| {name} | {figures[name]['fid']:.1f} | {figures[name]['kid']:.4f} |", flush=True)
    if options.out is not None:
        said = {"model": options.model, "data": str(options.data), "split": options.split, "N": len(samples)}
        options.out.write_text(json.dumps({**said, "figures": figures}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
