"""The ways in that tools/hostile.py tries: photos, sketches, archives, models, prepared data, arguments, commands."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from calisketch import CaliSketch
from calisketch.__main__ import main as command_line
from calisketch.boundary import images
from calisketch.boundary.decoding import read_file
from calisketch.datasets.preparing.photos import prepare_photos
from calisketch.datasets.preparing.sources import Unreadable, decode_rgb, find_images
from calisketch.datasets.reading.prepared_photos import PreparedPhotos
from calisketch.networks import EncoderDecoder
from calisketch.weights.folder import ModelFolderError
from tools.hostile import configs as hostile_configs
from tools.hostile import points as hostile_points

LUMA = np.array([0.299, 0.587, 0.114], np.float32)


class Wrong(AssertionError):
    """An answer that must not be given."""


@dataclass(frozen=True)
class Attempt:
    """One file and one way in. `act` gives "refused", "right" or "decoded"; whatever it raises is a defect."""

    kind: str
    name: str
    act: Callable[[], str]


def all_attempts(folder: Path) -> list[Attempt]:
    """Everything below `folder`, as tools/hostile.py wrote it, in a fixed order."""
    torch.manual_seed(0)
    model = CaliSketch(EncoderDecoder(1, 1, 4, 1), EncoderDecoder(1, 3, 4, 1, head="tanh"), 32)
    return [
        *_pictures(folder, model),
        *_archives(folder),
        *_models(folder / "models"),
        *_prepared(folder / "prepared"),
        *_arguments(model),
        *_whole_folders(folder),
        *(Attempt(*attempt) for attempt in hostile_configs.attempts(folder / "configs")),
        *(Attempt(*attempt) for attempt in hostile_points.attempts(folder / "points")),
    ]


def refused(expect: str) -> str:
    """The outcome of an error, where an error may be."""
    if expect == "right":
        raise Wrong("refused, though there is nothing wrong with it")
    return "refused"


def compared(got: np.ndarray, expected: Callable[[], np.ndarray], expect: str, tolerance: float) -> str:
    """The outcome of an answer, where there may be one, after comparing it with the right one."""
    if expect == "refuse":
        raise Wrong("taken, though it cannot be right")
    if expect == "any":
        return "decoded"
    wanted = expected()
    if got.shape != wanted.shape:
        raise Wrong(f"has the shape {got.shape}, expected {wanted.shape}")
    for top in range(0, len(got), 512):  # in strips: the memory of the comparison is not what is measured
        off = np.abs(got[top : top + 512].astype(np.float32) - wanted[top : top + 512]).max()
        if off > tolerance + 1e-2:
            raise Wrong(f"is off by {off} grey levels, expected at most {tolerance}")
    return "right"


def _pictures(folder: Path, model: CaliSketch) -> list[Attempt]:
    """Each picture as a photo to prepare and as a sketch to calibrate."""

    def expected(name: str) -> np.ndarray:
        kept = np.load(folder / "expected" / f"{name}.npz")
        return np.broadcast_to(kept["picture"], kept["shape"])

    def photo(name: str, expect: str, tolerance: int) -> str:
        try:
            got = decode_rgb(read_file(folder / "files" / name))
        except Unreadable:
            return refused(expect)
        return compared(got, lambda: expected(name), expect, tolerance)

    def sketch(name: str, expect: str, tolerance: int) -> str:
        path = folder / "files" / name
        try:
            got = images.read(path).luma
        except images.SketchError:
            return refused(expect)
        outcome = compared(got * 255, lambda: expected(name) @ LUMA, expect, tolerance + 1)
        shape = got.shape
        del got
        with contextlib.suppress(images.SketchError):  # it can be read, and shows no drawing
            if model.calibrate(path).size != shape[::-1]:
                raise Wrong(f"is answered in another size than {shape}")
        return outcome

    made = []
    for kind, name, as_photo, as_sketch, tolerance in json.loads((folder / "index.json").read_text()):
        made.append(Attempt(kind, f"photo {name}", lambda n=name, e=as_photo, t=tolerance: photo(n, e, t)))
        made.append(Attempt(kind, f"sketch {name}", lambda n=name, e=as_sketch, t=tolerance: sketch(n, e, t)))
    return made


def _archives(folder: Path) -> list[Attempt]:
    """Each archive, and the folder of odd entries: every image that is found is read."""

    def archive(path: Path) -> str:
        try:
            found, problems = find_images(path)
        except ValueError:
            return "refused"
        outcomes = set()
        for source in found:
            try:
                pixels = decode_rgb(source.read())
            except Unreadable:
                outcomes.add("refused")
                continue
            if ".." in source.parts or source.stem.startswith("evil"):
                raise Wrong(f"read {source.shown}")
            outcomes.add("decoded")
            if pixels.shape != (64, 80, 3):
                raise Wrong(f"{source.shown} has the shape {pixels.shape}")
        if not outcomes and not problems:
            return "refused"
        return "decoded" if "decoded" in outcomes else "refused"

    paths = [*sorted((folder / "archives").iterdir()), folder / "photos"]
    made = [Attempt("archive", path.name, lambda path=path: archive(path)) for path in paths]

    def entry(path: Path) -> str:
        try:
            images.read(path)
        except (images.SketchError, FileNotFoundError):
            return "refused"
        return "decoded"

    entries = sorted(path for path in (folder / "photos").iterdir() if path.name != "up")
    return made + [Attempt("odd entry", ascii(path.name), lambda path=path: entry(path)) for path in entries]


def _models(folder: Path) -> list[Attempt]:
    whole: dict[str, Any] = {}

    def load(path: Path) -> str:
        try:
            model = CaliSketch.from_pretrained(path)
        except (ModelFolderError, FileNotFoundError) as error:
            if path.name.startswith(("good", "other")):
                raise Wrong(str(error)) from error
            return "refused"
        if not path.name.startswith(("good", "other")):
            raise Wrong("loaded, though it is not what was saved")
        state = {"scn": model.scn_generator.state_dict(), "isn": model.isn_generator.state_dict()}
        if path.name.startswith("good"):
            before = whole.setdefault("good", state)
            if not all(torch.equal(value, state[name][key]) for name in before for key, value in before[name].items()):
                raise Wrong("other weights than were saved")
        return "right"

    kinds = ((path, path.name.split()[0]) for path in sorted(folder.iterdir()))
    return [Attempt(f"model: {kind}", path.name, lambda path=path: load(path)) for path, kind in kinds]


def _prepared(folder: Path) -> list[Attempt]:
    def read(path: Path, expect: str) -> str:
        try:
            photos = PreparedPhotos(path, size=32)
            for index in range(len(photos)):
                photos[index]
        except (ValueError, FileNotFoundError):
            return refused(expect)
        if expect == "refuse":
            raise Wrong("taken, though it cannot be right")
        return "right"

    made = [Attempt("prepared folder", "good", lambda: read(folder / "good", "right"))]
    for path in sorted((folder / "edits").iterdir()):
        made.append(Attempt("prepared folder", path.name, lambda path=path: read(path, "refuse")))
    return made


def hostile_arguments() -> dict[str, Any]:
    """What is no sketch, and looks like one."""
    good = np.full((64, 64), 255, np.uint8)
    good[20:40, 20] = 0
    endless: list[Any] = []
    endless.append(endless)
    deep: Any = good
    for _ in range(5000):
        deep = [deep]
    made = {
        "endless list": endless,
        "deep list": deep,
        "list of none": [good, None],
        "empty": np.zeros((0, 64)),
        "empty channels": np.zeros((64, 64, 0)),
        "one axis": np.zeros(64),
        "five axes": np.zeros((1, 1, 1, 64, 64)),
        "giant view": np.broadcast_to(np.uint8(255), (30_000, 30_000)),
        "giant tensor view": torch.ones(1).expand(30_000, 30_000),
        "many in a giant batch": torch.zeros(1).expand(3, 1, 20_000, 20_000),
        "wide": np.zeros((16, 40_000), np.uint8),
        "meta tensor": torch.zeros(64, 64, device="meta"),
        "sparse tensor": torch.eye(64).to_sparse(),
        "complex tensor": torch.zeros(64, 64, dtype=torch.complex64),
        "bool tensor": torch.zeros(64, 64, dtype=torch.bool),
        "nested tensor": [torch.zeros(64, 64).to_sparse_csr()],
        "float8": torch.zeros(64, 64).to(torch.float8_e4m3fn),
        "closed picture": _closed(),
        "cut picture": Image.open(io.BytesIO(_png(good)[:-20])),
        "LAB picture": Image.new("LAB", (64, 64)),
        "int32 picture": Image.fromarray(good.astype(np.int32) * 90_000),
        "large picture": Image.new("1", (12_000, 12_000)),
        "path with null": "a\0b.png",
        "path of a folder": ".",
        "long path": "x" * 10_000,
        "device": "/dev/zero",
        "url": "https://example.org/face.png",
        "number": 5,
        "none": None,
        "set": {1, 2},
        "text": "<svg/>",
    }
    for kind in (np.int64, np.complex64, bool, object, "U3", "M8[s]", np.int8):
        made[f"array of {np.dtype(kind)}"] = np.zeros((64, 64), kind)
    for value in (np.nan, np.inf, -np.inf, 1e300, -0.5, 255.0):
        array = np.ones((64, 64))
        array[3, 3] = value
        made[f"array with {value}"] = array
        made[f"tensor with {value}"] = torch.from_numpy(array)
        made[f"half tensor with {value}"] = torch.from_numpy(array).half()
    return made


def _png(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def _closed() -> Image.Image:
    image = Image.open(io.BytesIO(_png(np.zeros((64, 64), np.uint8))))
    image.close()
    return image


def _arguments(model: CaliSketch) -> list[Attempt]:
    good = np.full((64, 64), 255, np.uint8)
    good[20:40, 20] = 0

    def sketch(name: str) -> str:
        try:
            model.calibrate(hostile_arguments()[name])
        except (images.SketchError, FileNotFoundError):
            return "refused"
        raise Wrong("taken, though it is no sketch")

    def option(options: dict[str, Any]) -> str:
        try:
            model.synthesize(good, **options)
        except ValueError:
            return "refused"
        raise Wrong("taken, though it makes no sense")

    made = [Attempt("argument", name, lambda name=name: sketch(name)) for name in hostile_arguments()]
    for name, values in {
        "strength": (-1, 2, float("nan"), "1", "", [0.5], 1j),
        "batch_size": (0, -1, 2.5, "8", None, float("nan")),
        "polarity": ("light", None, 5, ["auto"]),
        "page": ("yes", None, 2, [True]),
        "align": ("eyes", None, 2, []),
        "device": ("abacus", "cuda:99", "cpu:x", 10**9, 2.5, []),
    }.items():
        for value in values:
            made.append(Attempt("option", f"{name}={value!r}", lambda n=name, v=value: option({n: v})))
    return made


def _whole_folders(folder: Path) -> list[Attempt]:
    """The commands over all files at once: what is wrong is listed, and what is right is made."""

    def index(way: int) -> dict[str, str]:
        entries = json.loads((folder / "index.json").read_text())
        large = "as large as may be"  # they were tried one by one
        return {entry[1]: entry[2 + way] for entry in entries if entry[0] != large}

    def linked(name: str, chosen: dict[str, str]) -> Path:
        place = folder / "out" / name
        place.mkdir(parents=True, exist_ok=True)
        for file in chosen:
            if not (place / file).is_symlink():
                (place / file).symlink_to(folder / "files" / file)
        return place

    def prepare() -> str:
        chosen = index(0)
        source = linked("photos", chosen)
        options: dict[str, Any] = {"size": 32, "contour": "none", "align": False, "workers": 0}
        report = prepare_photos(source, folder / "out" / "prepared", **options)
        bad = {Path(problem.file).name for problem in report.problems}
        for name, expect in chosen.items():
            if (expect == "refuse") != (name in bad) and expect != "any":
                raise Wrong(f"{name} should be {expect}")
        return "right"

    def command() -> str:
        chosen = index(1)
        source = linked("sketches", chosen)
        said, wrong = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(wrong):
            arguments = ["calibrate", str(source), "--out", str(folder / "out" / "answers"), "--model"]
            status = command_line([*arguments, str(folder / "models" / "good")])
        if status != 1 or "Traceback" in wrong.getvalue():
            raise Wrong(f"exit status {status}: {wrong.getvalue()[-300:]}")
        for name, expect in chosen.items():
            if expect == "refuse" and f"/{name}" not in wrong.getvalue():
                raise Wrong(f"{name} was not listed as refused")
        return "right"

    def odd_command() -> str:
        wrong = io.StringIO()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(wrong):
            entries = [str(path) for path in sorted((folder / "photos").iterdir()) if path.name != "up"]
            arguments = ["calibrate", *entries, "--out", str(folder / "out" / "odd"), "--model"]
            status = command_line([*arguments, str(folder / "models" / "good")])
        if status != 1 or not wrong.getvalue().isascii() or "\x1b" in wrong.getvalue():
            raise Wrong(f"exit status {status}: {wrong.getvalue()[-300:]!r}")
        return "right"

    def odd_prepare() -> str:
        options: dict[str, Any] = {"size": 32, "contour": "none", "align": False, "workers": 0}
        report = prepare_photos([folder / "photos", folder / "archives"], folder / "out" / "prepared-odd", **options)
        return "right" if report.problems and report.made else refused("right")

    return [
        Attempt("command", "prepare everything", prepare),
        Attempt("command", "prepare odd entries and archives", odd_prepare),
        Attempt("command", "calibrate everything", command),
        Attempt("command", "calibrate odd entries", odd_command),
    ]
