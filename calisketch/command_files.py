"""The files of a command: what it is to read, and where its results go, so that none is overwritten or half written."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from . import __version__, images

_MARK = ("Software", f"calisketch {__version__}")  # in the pictures that are written here


def answer_all(
    inputs: Sequence[Path], out: Path, suffix: str, answer: Callable[[Path], Mapping[str, Image.Image]]
) -> int:
    """Answer every input with pictures below ``out``, and say what became of each; what failed is told at the end.

    Args:
        inputs: files and folders. out: made if it is not there.
        suffix: what a result's name gets where the input itself has that name.
        answer: path -> pictures by what is added to the result's name, "" for the first.

    Returns:
        The exit status: 0, 1 if any input failed, 2 if ``out`` cannot be a folder.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        print(f"calisketch: --out {out} cannot be made a folder: {error}. Give another one.", file=sys.stderr)
        return 2
    failed: list[str] = []
    taken: set[Path] = set()
    done = 0
    found = list(jobs(inputs, out, failed))
    given = {real(path) for path, _ in found}
    for path, below in found:
        try:
            target = free_name(out / below, path.stem, suffix, given, taken)
            for added, image in answer(path).items():
                name = target
                if added:
                    name = free_name(target.parent, f"{target.stem}{added}", "-of", given, taken)
                write(image, name)
                print(f"{images.shown(path)} -> {images.shown(name)}")
            done += 1
        except (OSError, ValueError, RuntimeError, MemoryError) as error:
            named = images.shown(path)
            failed.append(f"{named}: {error}" if named not in str(error) else str(error))
    print(f"{done} of {done + len(failed)} done" + (f", {len(failed)} failed:" if failed else "."), flush=True)
    for line in failed:
        print(f"  {line}", file=sys.stderr)
    return 1 if failed else 0


def jobs(inputs: Sequence[Path], out: Path, failed: list[str]) -> Iterator[tuple[Path, Path]]:
    """Each file to read, once however often it is named, and the folder below --out that its result goes to."""
    seen: set[Path] = set()
    place = real(out)
    for given in inputs:
        if not os.path.isdir(given):  # unlike Path.is_dir, no error for a name that is too long
            if real(given) not in seen:
                seen.add(real(given))
                yield given, Path()
            continue
        # Results of an earlier run are no inputs: those in a folder of their own, and those among the inputs by a mark.
        inside = real(given) in place.parents
        found = [path for path in images.files_in(given) if not (inside and place in real(path).parents)]
        if real(given) == place:
            found = [path for path in found if not _is_marked(path)]
        if not found:
            failed.append(
                f"{images.shown(given)}: no image files in this folder; looked for {', '.join(images.FILE_ENDINGS)}."
            )
        for path in found:
            if real(path) not in seen:
                seen.add(real(path))
                yield path, path.parent.relative_to(given)


def real(path: Path) -> Path:
    """Where a path leads; unlike Path.resolve, links that lead in a circle do not end the run."""
    return Path(os.path.realpath(path))


def _is_marked(path: Path) -> bool:
    """Whether a picture was written by this command."""
    if not os.access(path, os.R_OK):
        return False  # which is said when it is read
    with open(path, "rb") as stream:
        return b"tEXt" + _MARK[0].encode() + b"\0" + b"calisketch " in stream.read(256)


def free_name(folder: Path, stem: str, suffix: str, inputs: set[Path], taken: set[Path]) -> Path:
    """The path of a new result: STEM.png, or STEM-face.png and so on where that is an input; or numbered."""
    if real(folder / f"{stem}.png") in inputs:
        stem += suffix
    for number in range(1, len(inputs) + len(taken) + 2):
        target = folder / (f"{stem}.png" if number == 1 else f"{stem}-{number}.png")
        if real(target) not in inputs | taken:
            taken.add(real(target))
            return target
    raise AssertionError("more names were tried than can be taken")


def write(image: Image.Image, target: Path) -> None:
    """Write aside and rename, so that no half-written picture is ever seen."""
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, aside = tempfile.mkstemp(dir=target.parent, prefix=".calisketch-", suffix=".png")
    mark = PngInfo()
    mark.add_text(*_MARK)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            image.save(stream, format="PNG", pnginfo=mark)
        os.chmod(aside, 0o644)  # mkstemp's files are private
        os.replace(aside, target)
    finally:
        if os.path.exists(aside):
            os.unlink(aside)
