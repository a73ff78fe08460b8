"""Files of weights that are not what they say, or not those of their config: what tools/hostile.py tries on models."""

from __future__ import annotations

import json
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Config = dict[str, Any]


def in_several_files(model: Any, folder: Path, random: np.random.Generator, flips: int) -> None:
    """The model with its weights in several files, as folder/good-several, and changed ones; each must be refused."""
    whole = model.save_pretrained(folder / "good-several", max_file_bytes=4000)
    names = sorted(path.name for path in whole.glob("*.safetensors"))
    first, second = names[:2]
    part = next(iter(json.loads((whole / "config.json").read_text())["parts"]))

    def copied(name: str) -> Path:
        return Path(shutil.copytree(whole, folder / f"several {name}"))

    edits: dict[str, Callable[[Config], Any]] = {
        "file unlisted": lambda c: (c["sha256"].pop(second), c["bytes"].pop(second)),
        "no sizes": lambda c: c.pop("bytes"),
        "no hashes": lambda c: c.pop("sha256"),
        "no hash of networks": lambda c: c["sha256"].pop("networks"),
        "size huge": lambda c: c["bytes"].update({first: 10**30}),
        "size other": lambda c: c["bytes"].update({first: 1}),
        "hash other": lambda c: c["sha256"].update({first: c["sha256"][second]}),
        "hash list": lambda c: c["sha256"].update({first: [1]}),
        "no parts": lambda c: c.pop("parts"),
        "parts list": lambda c: c.update(parts=[part]),
        "parts huge": lambda c: c["parts"].update({part: 10**30}),
        "parts many": lambda c: c["parts"].update({part: 999_999}),
        "parts of nothing": lambda c: c["parts"].update({"scn.foreign": 2}),
        "first version": lambda c: c.update(format_version=1),
    }
    for name in ("../outside/secret.txt", "/etc/passwd", "model.safetensors", "config.json", f"./{first}", "\0"):
        for field in ("sha256", "bytes"):
            edits[f"path {len(edits)}"] = lambda c, n=name, f=field: c[f].update({n: c[f].pop(first)})
        edits[f"path {len(edits)}"] = lambda c, n=name: [c[f].update({n: c[f].pop(first)}) for f in ("sha256", "bytes")]
    for name, edit in edits.items():
        path = copied(f"edit {name}") / "config.json"
        config = json.loads(path.read_text())
        edit(config)
        path.write_text(json.dumps(config))
    os.remove(copied("missing") / second)
    place = copied("exchanged")
    os.replace(place / first, place / "aside")
    os.replace(place / second, place / first)
    os.replace(place / "aside", place / second)
    place = copied("doubled")
    shutil.copyfile(place / first, place / second)
    os.truncate(copied("sparse") / second, 2**40)
    place = copied("pipe")
    os.remove(place / second)
    os.mkfifo(place / second)
    data = (whole / second).read_bytes()
    for name, lie in safetensors_that_lie(data).items():
        (copied(f"header {name}") / second).write_bytes(lie)
    for turn in range(flips):
        flipped = bytearray(data)
        flipped[int(random.integers(0, len(flipped)))] ^= 1 << int(random.integers(0, 8))
        (copied(f"flip {turn}") / second).write_bytes(flipped)
        (copied(f"cut {turn}") / second).write_bytes(data[: int(random.integers(0, len(data)))])


def safetensors_that_lie(whole: bytes) -> dict[str, bytes]:
    """Files whose header is not true of what follows it; every one must be refused."""
    (length,) = struct.unpack_from("<Q", whole)
    header: Config = json.loads(whole[8 : 8 + length])
    data = whole[8 + length :]
    name = next(key for key in header if key != "__metadata__")

    def packed(changed: Any, more: bytes = b"") -> bytes:
        text = changed if isinstance(changed, bytes) else json.dumps(changed).encode()
        return struct.pack("<Q", len(text)) + text + data + more

    def entry(**change: Any) -> bytes:
        return packed({**header, name: {**header[name], **change}})

    start, end = header[name]["data_offsets"]
    twice = json.dumps(header)[:-1] + f', "{name}": {json.dumps(header[name])}}}'
    return {
        "length huge": struct.pack("<Q", 2**63) + whole[8:],
        "length beyond": struct.pack("<Q", len(whole)) + whole[8:],
        "length zero": bytes(8) + whole[8:],
        "offsets beyond": entry(data_offsets=[start, end + 10**12]),
        "offsets back": entry(data_offsets=[end, start]),
        "offsets negative": entry(data_offsets=[-4, end]),
        "offsets overlapping": entry(data_offsets=[start + 4, end + 4]),
        "shape huge": entry(shape=[2**40, 2**40]),
        "shape negative": entry(shape=[-1, 1, 7, 7]),
        "dtype unknown": entry(dtype="F1"),
        "dtype other": entry(dtype="I16"),
        "name twice": packed(twice.encode()),
        "not json": packed(b"{" * 1000),
        "deep": packed(b"[" * 200_000),
        "trailing": packed(header, bytes(1000)),
        "empty": b"",
        "pickle": b"\x80\x02c__builtin__\neval\n",
    }
