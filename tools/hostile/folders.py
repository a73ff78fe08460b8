"""Hostile archives, folders, models, prepared data, checkpoints and arguments: the other half of tools/hostile.py.

`write` makes the files once; `attempts` gives, for each of them, the call that reads it. The writers are deterministic,
so that a child process that takes over finds the same list.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tools.hostile.pictures import drawing, encoded, png
from tools.hostile.weights import in_several_files, safetensors_that_lie

Config = dict[str, Any]


def write(folder: Path, seed: int = 0, share: float = 1.0) -> None:
    """All files below `folder`: archives/, photos/ (a folder of odd entries), models/, prepared/ and outside/."""
    random = np.random.default_rng(seed)
    good = encoded(drawing(random), "PNG")
    (folder / "outside").mkdir()
    (folder / "outside" / "secret.txt").write_text("outside")
    (folder / "outside" / "photo.png").write_bytes(good)
    (folder / "archives").mkdir()
    for name, data in archives(random, good, max(3, round(40 * share))):
        (folder / "archives" / f"{name}.zip").write_bytes(data)
    _odd_entries(folder / "photos", folder / "outside", good)
    _models(folder / "models", random, max(3, round(30 * share)))
    _prepared(folder / "prepared")


def archives(random: np.random.Generator, good: bytes, flips: int) -> Iterator[tuple[str, bytes]]:
    """(name, bytes). Each holds good.png too, so that what is refused is the member and not the archive."""
    names = {
        "dots": ["../../evil.png", "a/../../evil.png", "..\\..\\evil.png", "a\\..\\..\\evil.png"],
        "absolute": ["/tmp/evil.png", "C:\\evil.png", "C:evil.png", "\\\\server\\evil.png", "//evil.png"],
        "names": ["a\nb.png", "a\x1b[2Jb.png", "n" * 300 + ".png", "d/" * 200 + "x.png", " .png", "CON.png", "-rf.png"],
        "case": ["Photo.png", "photo.png", "PHOTO.png"],
        "hidden": [".png", "__MACOSX/._good.png", ".git/good.png"],
    }
    for name, members in names.items():
        yield name, _zip(dict.fromkeys(members, good), good)
    yield "nested", _zip({"inner.zip": _zip({"x.png": good}, good), "inner.png": _zip({"x.png": good}, good)}, good)
    zeros = bytes(140 * 2**20)
    yield "flat-bomb", _zip({"bomb.png": zeros}, good)
    yield "flat-bomb-started", _zip({"bomb.png": good[:33] + zeros}, good)
    yield "png-bomb", _zip({"bomb.png": png(100_000, 100_000, 8, 0, zlib.compress(bytes(10**6)))}, good)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("good.png", good)
        for target in ("../outside/photo.png", "/etc/passwd", "link.png"):
            link = zipfile.ZipInfo(f"link{len(target)}.png")
            link.external_attr = 0o120777 << 16
            archive.writestr(link, target)
    yield "links", stream.getvalue()
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("good.png", good)
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # zipfile's, of the second one
            archive.writestr("good.png", encoded(drawing(random), "PNG"))
    yield "twice", stream.getvalue()
    whole = bytearray(_zip({"a.png": good, "b.png": good}, good))
    encrypted = bytearray(whole)
    for mark, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        at = encrypted.index(mark)
        encrypted[at + place] |= 1
    yield "encrypted", bytes(encrypted)
    overlapping = bytearray(whole)
    first = overlapping.index(b"PK\1\2")
    second = overlapping.index(b"PK\1\2", first + 4)
    overlapping[second + 42 : second + 46] = overlapping[first + 42 : first + 46]
    yield "overlapping", bytes(overlapping)
    lying = bytearray(whole)
    lying[first + 24 : first + 28] = struct.pack("<I", 2**31)
    yield "size-lies", bytes(lying)
    method = bytearray(whole)
    method[first + 10 : first + 12] = struct.pack("<H", 97)
    yield "method-unknown", bytes(method)
    yield "cut", bytes(whole[: len(whole) // 2])
    yield "empty", b""
    yield "only-end", b"PK\5\6" + bytes(18)
    yield "directory-lies", b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, 65535, 65535, 2**32 - 2, 0, 0)
    yield "comment", bytes(whole[:-2]) + struct.pack("<H", 30) + b"PK\5\6" + bytes(26)
    for turn in range(flips):
        broken = bytearray(whole)
        for _ in range(3):
            broken[int(random.integers(0, len(broken)))] ^= 1 << int(random.integers(0, 8))
        yield f"flip-{turn}", bytes(broken)


def _zip(members: dict[str, bytes], good: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("good.png", good)
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def _odd_entries(folder: Path, outside: Path, good: bytes) -> None:
    folder.mkdir()
    (folder / "good.png").write_bytes(good)
    os.mkfifo(folder / "pipe.png")
    here = os.getcwd()
    os.chdir(folder)  # a socket's address is short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.png")
    os.chdir(here)
    (folder / "folder.png").mkdir()
    for name, target in {
        "dangling.png": "nowhere.png",
        "loop.png": "loop.png",
        "zero.png": "/dev/zero",
        "random.png": "/dev/urandom",
        "null.png": "/dev/null",
        "passwd.png": "/etc/passwd",
        "process.png": "/proc/self/environ",
        "up": "..",
        "archive.zip": "/dev/zero",
        "gone.zip": "nowhere.zip",
    }.items():
        (folder / name).symlink_to(target)
    (folder / "linked.png").symlink_to(outside / "photo.png")
    for name in (
        b"byte\xff.png",
        b"line\nbreak.png",
        b"\x1b[31mred.png",
        b"n" * 240 + b".png",
        b"-o.png",
        "\u202egnp.png".encode(),
    ):
        (Path(os.fsdecode(os.path.join(os.fsencode(folder), name)))).write_bytes(good)
    deep = folder / "d" / ("e" * 120) / ("f" * 120)
    deep.mkdir(parents=True)
    (deep / "deep.png").write_bytes(good)
    with open(folder / "sparse.png", "wb") as stream:
        stream.truncate(2**40)


def model_edits() -> dict[str, Callable[[Config], Any]]:
    """What is done to a model's config.json; every one must be refused."""

    def scn(config: Config) -> Config:
        return config["networks"]["scn"]

    def argument(name: str, value: Any) -> Callable[[Config], Any]:
        return lambda config: scn(config)["arguments"].update({name: value})

    edits: dict[str, Callable[[Config], Any]] = {
        "swapped networks": lambda c: c["networks"].update(scn=c["networks"]["isn"], isn=c["networks"]["scn"]),
        "head": argument("head", "tanh"),
        "dilation": argument("dilation", 1),
        "size": lambda c: c.update(size=64),
        "size zero": lambda c: c.update(size=0),
        "size huge": lambda c: c.update(size=10**30),
        "size text": lambda c: c.update(size="32"),
        "no networks": lambda c: c.update(networks={}),
        "many networks": lambda c: c.update(networks={f"n{i}": scn(c) for i in range(5000)}),
        "networks list": lambda c: c.update(networks=[1, 2]),
        "class": lambda c: scn(c).update({"class": "os.system"}),
        "class list": lambda c: scn(c).update({"class": ["EncoderDecoder"]}),
        "foreign argument": argument("foo", 1),
        "format": lambda c: c.update(format="pickle"),
        "version": lambda c: c.update(format_version=99),
        "version text": lambda c: c.update(format_version="1"),
        "info list": lambda c: c.update(info=[]),
        "digest list": lambda c: c.update(sha256=[]),
        "digest of another": lambda c: c["sha256"].update({"model.safetensors": "0" * 64}),
    }
    values = (-1, 0, 10**9, 10**30, 1e308, 2.5, "32", None, True, [1], {"a": 1})
    for name in ("width", "blocks", "dilation", "in_channels"):
        for value in values:
            if not (value is True and name in ("blocks", "in_channels")):  # True is 1, and so are they
                edits[f"{name} {value!r:.12}"] = argument(name, value)
    for value in ("no", 0, None, [], 2):
        edits[f"skips {value!r}"] = argument("skips", value)
        edits[f"head {value!r}"] = argument("head", value)
    return edits


def _models(folder: Path, random: np.random.Generator, flips: int) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    from calisketch import CaliSketch
    from calisketch.networks import EncoderDecoder

    torch.manual_seed(0)
    model = CaliSketch(EncoderDecoder(1, 1, 4, 1), EncoderDecoder(1, 3, 4, 1, head="tanh"), 32)
    model.save_pretrained(folder / "good")
    other = CaliSketch(EncoderDecoder(1, 1, 4, 1), EncoderDecoder(1, 3, 4, 1, head="tanh"), 32)
    other.save_pretrained(folder / "other")
    text = (folder / "good" / "config.json").read_text()
    weights = (folder / "good" / "model.safetensors").read_bytes()
    tensors = load_file(folder / "good" / "model.safetensors")
    old = json.loads(text)
    del old["sha256"]

    def make(name: str, config: str | bytes = text, data: bytes = weights) -> Path:
        place = folder / name
        place.mkdir()
        (place / "config.json").write_bytes(config if isinstance(config, bytes) else config.encode())
        (place / "model.safetensors").write_bytes(data)
        return place

    make("good-old", json.dumps(old))
    for name, edit in model_edits().items():
        config = json.loads(text)
        edit(config)
        make(f"edit {name}", json.dumps(config))
    for name, config in {
        "deep": "[" * 200_000,
        "deep objects": '{"a":' * 100_000,
        "not json": "{",
        "empty": "",
        "utf-16": text.encode("utf-16"),
        "bytes": bytes(range(256)),
        "nan": text.replace('"size": 32', '"size": NaN'),
        "infinity": text.replace('"size": 32', '"size": 1e999'),
        "long number": text.replace('"size": 32', '"size": ' + "9" * 6000),
        "twice": text.replace('"size": 32', '"size": 32, "size": 33'),
        "large": text + " " * 3_000_000,
        "list": "[]",
        "null": "null",
    }.items():
        make(f"json {name}", config)
    first, second = "scn.encoder0.0.weight", "isn.encoder0.0.weight"
    changes: dict[str, dict[str, Any]] = {
        "tensors of networks exchanged": {first: tensors[second], second: tensors[first]},
        "tensors within exchanged": {
            "scn.residual.0.dilated.weight": tensors["scn.residual.0.plain.weight"],
            "scn.residual.0.plain.weight": tensors["scn.residual.0.dilated.weight"],
        },
        "one value": {first: tensors[first] + 0.01},
    }
    broken = {
        "nan": {first: tensors[first] * float("nan")},
        "overflow": {first: tensors[first].double() * 1e300},
        "integers": {first: tensors[first].to(torch.int8)},
        "float8": {first: tensors[first].to(torch.float8_e4m3fn)},
        "bool": {first: tensors[first] > 0},
        "complex": {first: tensors[first].to(torch.complex64)},
        "transposed": {first: tensors[first].transpose(2, 3)[..., :3].contiguous()},
        "empty": {first: torch.zeros(0, 1, 7, 7)},
        "foreign": {"scn.foreign": torch.zeros(3)},
    }
    for name, change in {**changes, **broken}.items():
        save_file({**tensors, **change}, make(f"weights {name}") / "model.safetensors")
        if name in broken:  # without digests too
            save_file({**tensors, **change}, make(f"old weights {name}", json.dumps(old)) / "model.safetensors")
    shutil.copyfile(folder / "other" / "model.safetensors", make("weights of another") / "model.safetensors")
    for name, data in safetensors_that_lie(weights).items():
        make(f"old header {name}", json.dumps(old), data)
    in_several_files(model, folder, random, max(3, flips // 2))
    for turn in range(flips):
        flipped = bytearray(weights)
        flipped[int(random.integers(0, len(flipped)))] ^= 1 << int(random.integers(0, 8))
        make(f"flip {turn}", text, bytes(flipped))
        make(f"cut {turn}", json.dumps(old), weights[: int(random.integers(0, len(weights)))])
    os.remove(make("no weights") / "model.safetensors")
    os.remove(make("no config") / "config.json")
    place = make("pipe")
    os.remove(place / "config.json")
    os.mkfifo(place / "config.json")
    with open(make("sparse", json.dumps(old)) / "model.safetensors", "r+b") as stream:
        stream.truncate(2**40)


def _prepared(folder: Path) -> None:
    from calisketch.datasets.preparing.photos import prepare_photos

    source = folder / "source"
    source.mkdir(parents=True)
    random = np.random.default_rng(7)
    for name in ("a", "b"):
        (source / f"{name}.png").write_bytes(encoded(drawing(random), "PNG"))
    options: Config = {"size": 32, "contour": "none", "align": False, "validation_share": 0.0, "workers": 0}
    prepare_photos(source, folder / "good", **options)
    (folder / "edits").mkdir()
    for name, edit in manifest_edits().items():
        place = folder / "edits" / name
        shutil.copytree(folder / "good", place)
        path = place / "manifest.json"
        manifest = json.loads(path.read_text())
        text = edit(manifest)
        path.write_text(text if isinstance(text, str) else json.dumps(manifest))


def manifest_edits() -> dict[str, Callable[[Config], Any]]:
    """What is done to a prepared folder's manifest; every one must be refused."""

    def photo(manifest: Config) -> Config:
        return manifest["entries"]["a"]["files"]["photo"]

    edits: dict[str, Callable[[Config], Any]] = {
        f"path {name}": (lambda m, value=value: photo(m).update(path=value))
        for name, value in {
            "up": "../../../outside/photo.png",
            "absolute": "/etc/passwd",
            "null": "photo/\0.png",
            "number": 5,
            "none": None,
            "list": ["photo/a.png"],
            "folder": "photo",
            "gone": "photo/gone.png",
            "long": "x" * 5000,
        }.items()
    }
    for name, value in {"number": 5, "none": None, "list": [], "text": "a"}.items():
        edits[f"entry {name}"] = lambda m, value=value: m["entries"].update(a=value)
        edits[f"files {name}"] = lambda m, value=value: m["entries"]["a"].update(files=value)
        edits[f"file {name}"] = lambda m, value=value: m["entries"]["a"]["files"].update(photo=value)
        edits[f"split {name}"] = lambda m, value=value: m["entries"]["a"].update(split=value)
        edits[f"settings {name}"] = lambda m, value=value: m.update(settings=value)
        edits[f"entries {name}"] = lambda m, value=value: m.update(entries=value)
    for value in (0, -1, 10**30, 1e308, "32", None, True, [32], 64):
        edits[f"size {value!r:.10}"] = lambda m, value=value: m["settings"].update(size=value)
    for value in (99, 0, -1, "1", None, True, 1e999):
        edits[f"version {value!r}"] = lambda m, value=value: m.update(format_version=value)
    edits |= {
        "no split": lambda m: m["entries"]["a"].pop("split"),
        "no size": lambda m: m["settings"].pop("size"),
        "deep": lambda m: "[" * 200_000,
        "not json": lambda m: "{",
        "empty": lambda m: "",
        "twice": lambda m: json.dumps(m)[:-1] + ', "entries": {}}',
        "long number": lambda m: json.dumps(m).replace("32", "3" * 6000, 1),
    }
    return edits
