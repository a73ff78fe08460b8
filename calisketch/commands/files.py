"""The files of a command: what it is to read, and where its results go, so that none is overwritten or half written."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from .. import __version__
from ..boundary import images
from ..whole_files import written_whole

PICTURE = ".png"  # how the pictures that are written here end
_MARK = ("Software", f"calisketch {__version__}")  # in the pictures that are written here


def answer_all(
    inputs: Sequence[Path],
    out: Path,
    suffix: str,
    answer: Callable[[Path], Mapping[str, Image.Image | bytes]],
    *,
    endings: Sequence[str] = images.FILE_ENDINGS,
    ending: str = PICTURE,
) -> int:
    """Answer every input with files below ``out``, and say what became of each; what failed is told at the end.

    Args:
        inputs: files and folders. out: made if it is not there.
        suffix: what a result's name gets where the input itself has that name.
        answer: path -> results by what is added to the result's name, "" for the first. What ends in "/" is a folder of
            ``out`` instead, where the result has the first one's name.
        endings: of the files that are taken of folders. ending: of the results, which are pictures or a file's bytes.

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
    found = list(jobs(inputs, out, failed, endings))
    given = {real(path) for path, _ in found}
    for path, below in found:
        try:
            results = answer(path)
            layers = [out / added / below for added in results if added.endswith("/")]
            name = free_name([out / below, *layers], f"{path.stem}{ending}", suffix, given, taken)
            for added, result in results.items():
                target = out / below / name
                if added.endswith("/"):
                    target = out / added / below / name
                elif added:
                    apart = f"{target.stem}{added}{ending}"
                    target = out / below / free_name([out / below], apart, "-of", given, taken)
                write(result, target)
                size = f" ({len(result)} bytes)" if isinstance(result, bytes) else ""
                print(f"{images.shown(path)} -> {images.shown(target)}{size}")
            done += 1
        except (OSError, ValueError, RuntimeError, MemoryError) as error:
            named = images.shown(path)
            failed.append(f"{named}: {error}" if named not in str(error) else str(error))
    print(f"{done} of {done + len(failed)} done" + (f", {len(failed)} failed:" if failed else "."), flush=True)
    for line in failed:
        print(f"  {line}", file=sys.stderr)
    return 1 if failed else 0


def jobs(
    inputs: Sequence[Path], out: Path, failed: list[str], endings: Sequence[str] = images.FILE_ENDINGS
) -> Iterator[tuple[Path, Path]]:
    """Each file to read, once however often it is named, and the folder below --out that its result goes to.

    Of folders, and of the folders in them, those with these endings are taken; what is hidden is left out.
    """
    seen: set[Path] = set()
    place = real(out)
    for given in inputs:
        if not os.path.isdir(given):  # unlike Path.is_dir, no error for a name that is too long
            if real(given) not in seen:
                seen.add(real(given))
                yield given, Path()
            continue
        found = _files_in(given, endings)
        if PICTURE in endings:
            # Results of an earlier run are no inputs: those in a folder of their own, and those among the inputs by a
            # mark. Files that are not read as pictures are no results of the same command.
            inside = real(given) in place.parents
            found = [path for path in found if not (inside and place in real(path).parents)]
            if real(given) == place:
                found = [path for path in found if not _is_marked(path)]
        if not found:
            kind = "image files" if PICTURE in endings else "such files"
            failed.append(f"{images.shown(given)}: no {kind} in this folder; looked for {', '.join(endings)}.")
        for path in found:
            if real(path) not in seen:
                seen.add(real(path))
                yield path, path.parent.relative_to(given)


class Beside:
    """What a command is given beside its inputs: one picture for all, or a folder with one for each.

    Args:
        given: the file or folder.
        inputs: of the command.
        what: they are, in messages. remedy: a sentence for the message where there is none.
    """

    def __init__(self, given: Path, inputs: Sequence[Path], what: str, remedy: str) -> None:
        self.given, self.inputs, self.what, self.remedy = given, inputs, what, remedy
        self._is_folder = os.path.isdir(given)
        self._at: dict[Path, list[Path]] = {}
        self._called: dict[str, list[Path]] = {}
        for path in images.files_in(given) if self._is_folder else ():
            self._at.setdefault(_place(path, given), []).append(path)
            self._called.setdefault(path.stem, []).append(path)

    def of(self, path: Path) -> Path:
        """The file that belongs to an input.

        In a folder it is the one at the input's place, of the same relative path without its ending; else the only one
        of the input's name, unless it lies at another input's place.

        Raises:
            FileNotFoundError: there is none.
            ValueError: there are several.
        """
        if not self._is_folder:
            return self.given
        below = next((given for given in self.inputs if given in path.parents), path.parent)
        place = _place(path, below)
        found = self._at.get(place, [])
        if len(found) > 1:
            found = [each for each in found if each.suffix.lower() == path.suffix.lower()] or found
        if not found:
            found = [each for each in self._called.get(path.stem, []) if not self._is_of_another(each, path)]
        if len(found) == 1:
            return found[0]
        if found:
            raise ValueError(
                f"{images.shown(path)}: which {self.what} are its own? Expected one file, and found "
                f"{', '.join(map(images.shown, found))}. Keep it as {images.shown(self.given / place)}."
            )
        raise FileNotFoundError(
            f"{images.shown(path)} has no {self.what}: there is no picture {images.shown(place)} in "
            f"{images.shown(self.given)}, nor a spare one called {images.shown(path.stem)}. {self.remedy}"
        )

    def _is_of_another(self, found: Path, path: Path) -> bool:
        place = _place(found, self.given)
        names = [f"{place.name}{ending}" for ending in images.FILE_ENDINGS]
        there = (given / place.parent / name for given in self.inputs for name in names)
        return any(other.is_file() and real(other) != real(path) for other in there)


def _place(path: Path, folder: Path) -> Path:
    """Where a file lies in a folder, without its ending."""
    return path.parent.relative_to(folder) / path.stem


def _files_in(folder: Path, endings: Sequence[str]) -> list[Path]:
    """`images.files_in`, for files of any endings."""
    found = (path for path in folder.rglob("*") if path.suffix.lower() in endings and path.is_file())
    return sorted(path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts))


def real(path: Path) -> Path:
    """Where a path leads; unlike Path.resolve, links that lead in a circle do not end the run."""
    return Path(os.path.realpath(path))


def _is_marked(path: Path) -> bool:
    """Whether a picture was written by this command."""
    if not os.access(path, os.R_OK):
        return False  # which is said when it is read
    with open(path, "rb") as stream:
        return b"tEXt" + _MARK[0].encode() + b"\0" + b"calisketch " in stream.read(256)


def free_name(folders: Sequence[Path], name: str, suffix: str, inputs: set[Path], taken: set[Path]) -> str:
    """A new result's name, free in all of these folders: NAME, NAME-face and so on where that is an input; or numbered.

    Its paths are added to those that are taken.
    """
    stem, ending = os.path.splitext(name)
    if any(real(folder / name) in inputs for folder in folders):
        stem += suffix
    for number in range(1, len(inputs) + len(taken) + 2):
        name = f"{stem}{ending}" if number == 1 else f"{stem}-{number}{ending}"
        paths = {real(folder / name) for folder in folders}
        if not paths & (inputs | taken):
            taken |= paths
            return name
    raise AssertionError("more names were tried than can be taken")


def write(result: Image.Image | bytes, target: Path) -> None:
    """Write aside and rename, so that no half-written file is ever seen; a picture is written as PNG."""
    target.parent.mkdir(parents=True, exist_ok=True)
    mark = PngInfo()
    mark.add_text(*_MARK)
    with written_whole(target) as aside:
        if isinstance(result, bytes):
            aside.write_bytes(result)
        else:
            result.save(aside, format="PNG", pnginfo=mark)
