"""Calls as a user writes them, for mypy alone: `test_types` holds what it reveals and refuses, line by line."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from typing_extensions import reveal_type

import calisketch
from calisketch import CaliSketch, PIRec, Sketcher, XGan

model = CaliSketch.from_pretrained()
path: str | Path = Path("a.png")
array = np.zeros((64, 64), np.uint8)
tensor = torch.zeros(2, 1, 64, 64)

# A path or PIL image -> PIL; an array -> an array; a tensor -> a tensor; a list -> a list.
reveal_type(calisketch.synthesize("a.png"))  # Image
reveal_type(calisketch.synthesize(path, 0.8, colours="paint.png", unpainted="white"))  # Image
reveal_type(calisketch.synthesize(Image.new("L", (64, 64)), strength=0.8))  # Image
reveal_type(calisketch.synthesize(sketch=array, align=False))  # ndarray
reveal_type(calisketch.synthesize(tensor, colours=[None, tensor[0]]))  # Tensor
reveal_type(calisketch.synthesize(["a.png", "b.png"]))  # list[Image]
reveal_type(calisketch.synthesize((array, array)))  # list[ndarray]
reveal_type(calisketch.synthesize([tensor]))  # list[Tensor]
reveal_type(calisketch.synthesize(["a.png", tensor]))  # Any
reveal_type(calisketch.calibrate("a.png", 0.5, polarity="light_on_dark", page=False))  # Image
reveal_type(calisketch.calibrate(array, batch_size=2, device="cpu"))  # ndarray
reveal_type(calisketch.calibrate(tensor))  # Tensor
reveal_type(model.calibrate([path]))  # list[Image]
reveal_type(model.synthesize("a.png"))  # Image
reveal_type(model.synthesize("a.png", return_refined=False))  # Image
reveal_type(model.synthesize("a.png", return_refined=True))  # tuple[Image, Image]
reveal_type(model.synthesize(array, 0.5, return_refined=True))  # tuple[ndarray, ndarray]
reveal_type(model.synthesize([tensor], return_refined=True))  # tuple[list[Tensor], list[Tensor]]
model.synthesize("a.png").save("face.png")

pi_rec, x_gan, sketcher = PIRec.from_pretrained("a"), XGan.from_pretrained("b"), Sketcher.from_pretrained("c")
reveal_type(pi_rec.to("cpu"))  # PIRec
reveal_type(pi_rec.paint("a.png", array, refine=True))  # Image
reveal_type(pi_rec.paint(tensor, colours=[array, array]))  # Tensor
reveal_type(pi_rec.reconstruct(["a.png"], sigma=2.0, refine=False))  # list[Any]
reveal_type(pi_rec.take_apart(array, blur=5))  # tuple[ndarray, ndarray]
reveal_type(pi_rec.interpolate("a.png", "b.png", "c.png", n=3))  # list[Image]
reveal_type(x_gan.restore("a.png", "kept.png", paste=True))  # Image
reveal_type(x_gan.compress("a.png", 2.5))  # bytes
reveal_type(x_gan.compress([array], bits=4))  # list[bytes]
reveal_type(x_gan.compress(array, out="a.xgp"))  # Path
reveal_type(x_gan.decompress("a.xgp"))  # Image
reveal_type(x_gan.decompress(b"xgp", kind="tensor"))  # Tensor
reveal_type(x_gan.decompress(["a.xgp"], kind="array"))  # list[ndarray]
reveal_type(sketcher.draw(path, align=True))  # Image
reveal_type(sketcher.draw(tensor, batch_size=2))  # Tensor

calisketch.synthesize(3.5)  # refused
calisketch.synthesize("a.png", strengh=1)  # refused
calisketch.synthesize("a.png", "0.5")  # refused
calisketch.synthesize("a.png", unpainted="black")  # refused
calisketch.calibrate(b"a.png")  # refused
calisketch.calibrate("a.png", colours="paint.png")  # refused
model.calibrate("a.png", align="yes")  # refused
model.synthesize("a.png", batch_size="8")  # refused
model.synthesize("a.png").astype(float)  # refused
pi_rec.paint("a.png")  # refused
pi_rec.interpolate(["a.png"], "b.png", "c.png")  # refused
x_gan.decompress(array)  # refused
x_gan.decompress("a.xgp", kind="numpy")  # refused
sketcher.draw("a.png", polarity="auto")  # refused
print(calisketch.CaliSketsch)  # refused
