"""The weights of a model as safetensors files: one, or as many as keep each of them below a size.

One file is called model.safetensors, several are called model-00001-of-00003.safetensors and so on. A tensor that is
larger than a file may be lies in parts along its first axis, NAME.part-1-of-2 and so on; how many it has is recorded.
Files get their names when all of them are whole, and are believed only as far as their hashes are.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from .download import sha256_of

WEIGHTS_FILE = "model.safetensors"
LARGEST_FILE = 16_000_000  # bytes, unless told otherwise: what code hosts and web servers take without ado
LARGEST_HEADER = 2**20  # bytes
LARGEST_WEIGHTS = 8 * 2**30  # bytes in all; they are mapped, not read, until they are found to be the right ones
MOST_FILES = 1000
_FRAME = 8 + 2 + 8  # a safetensors file without tensors: the header's length, its braces, and what rounds it up
_OWN_NAME = re.compile(r"model(-\d{5}-of-\d{5})?\.safetensors")
_HASH = re.compile(r"[0-9a-f]{64}")


class ModelFolderError(ValueError):
    """A model folder that cannot be read; the message names the folder, what is wrong with it, and the remedy."""


@dataclass(frozen=True)
class WeightFile:
    """What a config says of a file; what it does not say is None (folders of the first format version)."""

    name: str
    sha256: str | None
    size: int | None  # bytes


def file_names(count: int) -> list[str]:
    """The names of a model's files of weights, where it has so many."""
    if count == 1:
        return [WEIGHTS_FILE]
    return [f"model-{number:05d}-of-{count:05d}.safetensors" for number in range(1, count + 1)]


def divide(
    tensors: Mapping[str, Tensor], largest: int = LARGEST_FILE
) -> tuple[list[dict[str, Tensor]], dict[str, int]]:
    """Which tensors go into which file.

    Args:
        tensors: in the order in which they fill the files.
        largest: bytes that no file exceeds, its header included.

    Returns:
        The tensors of each file, and the number of parts of each tensor that had to be cut along its first axis.

    Raises:
        ValueError: a file could not hold a single row of some tensor, or there would be more than `MOST_FILES`.
    """
    if _FRAME + sum(_stored_size(key, tensor) for key, tensor in tensors.items()) <= largest:
        return [dict(tensors)], {}
    files: list[dict[str, Tensor]] = [{}]
    parts: dict[str, int] = {}
    filled = _FRAME
    for key, tensor in tensors.items():
        pieces = _pieces(key, tensor, largest)
        if len(pieces) > 1:
            parts[key] = len(pieces)
        for name, piece in pieces.items():
            size = _stored_size(name, piece)
            if files[-1] and filled + size > largest:
                files.append({})
                filled = _FRAME
            files[-1][name] = piece
            filled += size
    if len(files) > MOST_FILES:
        raise ValueError(
            f"max_file_bytes={largest} would make {len(files)} files of weights, expected at most {MOST_FILES}. "
            "Give a larger one."
        )
    return files, parts


def _stored_size(key: str, tensor: Tensor) -> int:
    """Bytes that a tensor takes in a file at the most: values, and in the header its name, type, shape and place."""
    return tensor.nbytes + len(json.dumps(key)) + 100 + 21 * tensor.ndim


def _part_names(key: str, count: int) -> list[str]:
    return [f"{key}.part-{number}-of-{count}" for number in range(1, count + 1)]


def _pieces(key: str, tensor: Tensor, largest: int) -> dict[str, Tensor]:
    """The tensor itself, or as few parts of it as fit."""
    if _FRAME + _stored_size(key, tensor) <= largest:
        return {key: tensor}
    rows = max(tensor.shape[0], 1) if tensor.ndim else 1
    row = max(tensor.nbytes // rows, 1)
    around = _FRAME + _stored_size(f"{key}.part-{rows}-of-{rows}", tensor) - tensor.nbytes
    fitting = (largest - around) // row
    if fitting < 1:
        raise ValueError(
            f"max_file_bytes={largest} is too small for {key}: got a tensor {tuple(tensor.shape)}, of which a file "
            f"must hold one row at least. Give {around + row} or more."
        )
    count = -(-rows // fitting)
    return {
        name: part.clone()  # safetensors stores no two that share memory
        for name, part in zip(_part_names(key, count), torch.tensor_split(tensor, count), strict=True)
    }


def write(
    folder: Path, files: Sequence[Mapping[str, Tensor]], config_file: str, text_of: Callable[[list[WeightFile]], str]
) -> None:
    """Replace a folder's weights and config by others.

    Everything is written aside and synced first; then the files of weights get their names, then the config, and what
    the former model had more of is removed. So a full disk or a kill while the weights are written leaves the former
    model as it was. Between the renames the config's hashes tell a reader that the files are not of one model.

    Args:
        folder: an existing one.
        files: the tensors of each file.
        config_file: its name.
        text_of: gives the config's text, when the hashes and sizes of the files are known.

    Raises:
        OSError: the folder cannot be written to, or the disk is full.
    """
    names = file_names(len(files))
    ready: list[tuple[Path, Path]] = []
    try:
        written = []
        for name, tensors in zip(names, files, strict=True):
            aside = _write_aside(folder / name, ready, partial(save_file, dict(tensors)))
            written.append(WeightFile(name, sha256_of(aside), aside.stat().st_size))
        text = text_of(written)
        _write_aside(folder / config_file, ready, lambda path: path.write_text(text, encoding="utf-8"))
        for aside, path in ready:
            os.replace(aside, path)
    finally:
        for aside, _ in ready:
            aside.unlink(missing_ok=True)
    for path in folder.iterdir():
        if _OWN_NAME.fullmatch(path.name) and path.name not in names:
            path.unlink()
    sync_folder(folder)


def _write_aside(path: Path, ready: list[tuple[Path, Path]], write: Callable[[Path], Any]) -> Path:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(descriptor)
    aside = Path(name)
    ready.append((aside, path))
    try:
        write(aside)
    except (OSError, SafetensorError) as error:  # a full disk; safetensors has an error of its own for it
        raise OSError(f"{path} cannot be written: {error}. Make room, or give another folder.") from error
    with open(aside, "rb+") as stream:
        os.fsync(stream.fileno())
    aside.chmod(0o644)  # mkstemp's files are private
    return aside


def sync_folder(folder: Path) -> None:
    """Make the names in a folder outlive a loss of power, where the system can."""
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(folder, os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def listed(config: Mapping[str, Any], path: Path) -> list[WeightFile]:
    """The files of weights that a config names.

    Args:
        config: of any supported format version, with "format_version" checked.
        path: of the config, for messages.

    Raises:
        ModelFolderError: its "sha256", "bytes" or "parts" is not what `save` writes.
    """
    digests, sizes, parts = config.get("sha256", {}), config.get("bytes", {}), config.get("parts", {})
    if not isinstance(digests, dict) or not all(isinstance(value, str) for value in digests.values()):
        raise ModelFolderError(f"{path} has a 'sha256' that is no object of texts. Copy the folder again.")
    for title, counts, least in (("bytes", sizes, 0), ("parts", parts, 2)):
        whole = isinstance(counts, dict) and all(type(value) is int and value >= least for value in counts.values())
        if not whole:
            raise ModelFolderError(
                f"{path} has '{title}' that are no object of whole numbers from {least} on. Copy the folder again."
            )
    if config["format_version"] == 1:
        return [WeightFile(WEIGHTS_FILE, digests.get(WEIGHTS_FILE), sizes.get(WEIGHTS_FILE))]
    names = sorted(digests.keys() - {"networks"})
    if not 2 <= len(names) <= MOST_FILES or names != file_names(len(names)) or names != sorted(sizes):
        raise ModelFolderError(
            f"{path} does not list its files of weights rightly: 'sha256' and 'bytes' must name all of "
            f"{WEIGHTS_FILE.replace('.', '-00001-of-N.')} to N, at most {MOST_FILES}. Copy the folder again."
        )
    if bad := sorted(name for name, value in digests.items() if not _HASH.fullmatch(value)):
        raise ModelFolderError(f"{path} has no SHA-256 of {bad[0]} in 'sha256'. Copy the folder again.")
    if "networks" not in digests or sum(sizes.values()) > LARGEST_WEIGHTS or sum(parts.values()) > 10**6:
        raise ModelFolderError(
            f"{path} has no SHA-256 of its networks, or claims more than {LARGEST_WEIGHTS // 2**30} GiB of weights or "
            "a million parts, which no model here has. Copy the folder again."
        )
    return [WeightFile(name, digests[name], sizes[name]) for name in names]


def read(paths: Sequence[Path]) -> dict[str, Tensor]:
    """The tensors of all files, as they are stored, none of them believed yet.

    Raises:
        ModelFolderError: one that is not whole or says something of itself that is not true, more bytes than any model
            has, or a name that stands in two of the files.
    """
    if sum(path.stat().st_size for path in paths) > LARGEST_WEIGHTS:
        raise ModelFolderError(
            f"the weights in {paths[0].parent} are larger than {LARGEST_WEIGHTS // 2**30} GiB, which no model here is. "
            "Copy the folder again."
        )
    tensors: dict[str, Tensor] = {}
    for path in paths:
        try:
            _check_header(path)
            own = load_file(path)
        # KeyError: a type that torch does not have.
        except (SafetensorError, OSError, ValueError, KeyError, RecursionError) as error:
            raise ModelFolderError(
                f"{path} is not a whole safetensors file ({error}). Copy the folder again."
            ) from error
        if twice := sorted(own.keys() & tensors.keys()):
            raise ModelFolderError(f"{path} holds {twice[0]}, which another file holds too. Copy the folder again.")
        tensors |= own
    return tensors


def join(
    tensors: Mapping[str, Tensor], parts: Mapping[str, int], expected: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], list[str]]:
    """The tensors with those in one piece again that were stored in parts, and the names of those that cannot be.

    Only what makes up exactly the expected shape is joined, so that no more memory is taken than the networks have.
    """
    joined, apart = dict(tensors), []
    for key in sorted(parts):
        shape = expected[key].shape if key in expected else torch.Size()
        names = _part_names(key, parts[key]) if parts[key] <= len(tensors) else []
        pieces = [tensors[name] for name in names if name in tensors and tensors[name].ndim]
        whole = bool(shape) and key not in tensors and bool(pieces) and len(pieces) == len(names)
        if (
            whole
            and sum(piece.shape[0] for piece in pieces) == shape[0]
            and all((piece.shape[1:], piece.dtype) == (shape[1:], pieces[0].dtype) for piece in pieces)
        ):
            joined = {name: tensor for name, tensor in joined.items() if name not in names}
            joined[key] = torch.cat(pieces)
        else:
            apart.append(key)
    return joined, apart


def check_hashes(folder: Path, config_file: str, files: Sequence[WeightFile]) -> None:
    """Raises ModelFolderError where a file is not the one that was saved with the config."""
    for file in files:
        path = folder / file.name
        other_size = file.size is not None and file.size != path.stat().st_size
        if other_size or (file.sha256 is not None and file.sha256 != sha256_of(path)):
            raise ModelFolderError(
                f"{path} is not the file that was saved with {config_file}: its {'size' if other_size else 'SHA-256'} "
                "is another. It is damaged or of another model; copy all files from the same model."
            )


def _check_header(path: Path) -> None:
    """Raises ValueError where a tensor is listed twice, of which safetensors' own reader would take one."""
    with open(path, "rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if length > LARGEST_HEADER:
            raise ValueError(f"its header claims {length} bytes")
        parse_strictly(stream.read(length))


def parse_strictly(text: str | bytes) -> Any:
    """JSON as its standard has it; ValueError for NaN and its like, and for a name that stands twice in an object."""
    return json.loads(text, object_pairs_hook=_without_repetition, parse_constant=_no_number)


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """JSON's own reader takes the last of two values of one name."""
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a name stands in it twice")
    return made


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no number in JSON")
