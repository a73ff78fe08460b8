"""Compressed photos (.xgp) that are no such thing, for tools/hostile.py: cut, altered, sealed again, and too large."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from calisketch.compression.point_file import ENDING, PointFileError
from calisketch.networks import EncoderDecoder
from calisketch.relatives.x_gans import XGan

SIZE = 32


def write(folder: Path, seed: int = 0, share: float = 1.0) -> None:
    """FOLDER/NAME.xgp, and FOLDER/index.json: kind, name and what is expected of each ("refuse", "right", "any")."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(seed)
    photo = random.integers(0, 256, (9, 12, 3), dtype=np.uint8).repeat(5, 0).repeat(5, 1)
    files = {kind: _model().compress(photo, 5, points=kind) for kind in ("feature", "random")}
    index = []

    def add(kind: str, name: str, data: bytes, expect: str) -> None:
        index.append([kind, name, expect])
        (folder / f"{name}{ENDING}").write_bytes(data)

    for points, file in files.items():
        add("points: whole", f"whole {points}", file, "right")
        add("points: continued", f"continued {points}", file + bytes(64), "refuse")
        for length in random.permutation(len(file))[: max(1, round(60 * share))].tolist():
            add("points: cut", f"cut {points} {length}", file[:length], "refuse")
        for place in random.permutation(len(file))[: max(1, round(60 * share))].tolist():
            altered = bytearray(file)
            altered[place] ^= int(random.integers(1, 256))
            add("points: altered", f"altered {points} {place}", bytes(altered), "refuse")
            add("points: sealed again", f"sealed {points} {place}", _sealed(bytes(altered[:-4])), "any")
        for number in range(max(1, round(40 * share))):
            body = file[:6] + random.bytes(int(random.integers(4, 200)))
            add("points: any bytes, sealed", f"any {points} {number}", _sealed(body), "any")
    head = files["random"][:5]
    for name, numbers in _LARGE.items():
        for bits, seeded in ((5, 0x80), (5, 0), (8, 0)):
            body = head + bytes([bits | seeded]) + b"".join(map(_varint, [*numbers, *([7] if seeded else [])]))
            for rest in (b"", b"\x55" * 4000):
                made = _sealed(body + rest)
                add("points: large", f"{name}, {bits} bits, {seeded} seeded, {len(rest)} bytes", made, "any")
    (folder / "index.json").write_text(json.dumps(index))


_LARGE = {  # side, height, width, count
    "all places of the largest grid": (2048, 2048, 2048, 2048 * 2048),
    "as many points as may be": (512, 512, 512, 2**18),
    "one point of the largest photo": (32, 6000, 6000, 1),
    "the longest photo": (2048, 1, 32_000, 2048),
    "more points than places": (32, 32, 32, 1025),
    "a photo of 10^10 pixels": (32, 100_000, 100_000, 10),
    "sides that no number of 32 bits holds": (2**34, 2**34, 2**34, 2**34),
    "nothing": (0, 0, 0, 0),
}


def attempts(folder: Path) -> Iterator[tuple[str, str, Callable[[], str]]]:
    """(kind, name, what gives "refused", "right" or "decoded")."""
    model = _model()
    for kind, name, expect in json.loads((folder / "index.json").read_text()):
        yield kind, name, lambda name=name, expect=expect: _read(model, folder / f"{name}{ENDING}", expect)


def _read(model: XGan, path: Path, expect: str) -> str:
    try:
        picture = model.decompress(path)
    except PointFileError:
        if expect == "right":
            raise
        return "refused"
    if expect == "refuse":
        raise AssertionError("read, though it is not what was written")
    if expect == "right" and picture.size != (60, 45):
        raise AssertionError(f"the picture has {picture.size} pixels, not (60, 45)")
    return "right" if expect == "right" else "decoded"


def _model() -> XGan:
    torch.manual_seed(0)
    return XGan(EncoderDecoder(3, 3, 4, 1, skips=False, head="tanh"), SIZE, {"task": "points"})


def _sealed(body: bytes) -> bytes:
    return body + zlib.crc32(body).to_bytes(4, "little")


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])
