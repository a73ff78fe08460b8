"""A tree of tensors and plain containers as one safetensors file that says when it is damaged.

The tensors lie in the file under their paths; the containers and numbers, with references to them, are JSON in the
file's metadata, and so is a SHA-256 over all of it. Nothing is pickled. Any program that reads safetensors can look in.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save, save_file
from torch import Tensor


class PackingError(ValueError):
    """A tree that cannot be packed, or a file that is damaged or no packed tree."""


def write_packed(path: Path, tree: Any, kind: str, version: int, *, also: Path | None = None) -> None:
    """Writes a tree aside, fsyncs it and gives it its name; on failure nothing is left.

    Args:
        tree: dicts, lists, tuples, strings, numbers, booleans, None and tensors of any device.
        kind, version: what the file is, compared in reading, and the version of the tree's format.
        also: a second name in the same folder, which the file gets first.

    Raises:
        PackingError: something in the tree is of another type, or safetensors cannot write it.
        OSError: a full disk, or a folder that cannot be written to.
    """
    text, tensors = _parts(tree)
    metadata = {"format": kind, "format_version": str(version), "tree": text, "sha256": _digest(version, text, tensors)}
    aside = path.with_name(f".{path.name}.writing")
    try:
        aside.touch()
        mode = aside.stat().st_mode
        try:
            save_file(tensors, aside, metadata)
        except SafetensorError as error:
            raise PackingError(str(error)) from error
        aside.chmod(mode)  # safetensors' own are private, whatever the umask says
        with open(aside, "rb+") as file:
            os.fsync(file.fileno())
        if also is not None:
            _link(aside, also)
        os.replace(aside, path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def read_packed(path: Path, kind: str, newest: int) -> tuple[int, Any]:
    """Reads a file of ``write_packed``, tensors onto the CPU: its version and the tree.

    newest: the newest version whose tree is understood; that of a newer, undamaged one is None.

    Raises:
        OSError: there is no such file, or it may not be opened.
        PackingError: another kind, or any byte of the content is not what was written.
        MemoryError: there is not enough to read it.
    """
    with open(path, "rb"):  # safetensors says of a file without permission that there is none
        pass
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != kind:
                raise PackingError(f"its format is {metadata.get('format')!r}, expected {kind!r}")
            version = int(metadata["format_version"])
            # Copied: what safetensors returns lies in the mapped file.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
        if _digest(version, metadata["tree"], tensors) != metadata["sha256"]:
            raise PackingError("it is damaged: its content does not fit its SHA-256")
        if version > newest:
            return version, None
        return version, _decode(json.loads(metadata["tree"]), tensors)
    except PackingError:
        raise
    except SafetensorError as error:
        raise PackingError(f"it is damaged or no safetensors file ({error})") from error
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, RecursionError) as error:
        if "allocate memory" in str(error):  # the file may well be sound
            raise MemoryError(f"{path} cannot be read: {error}") from error
        raise PackingError(f"it is damaged ({type(error).__name__}: {error})") from error


def to_bytes(tree: Any) -> bytes:
    """A tree for another process of the same run: the containers' length, they, and the tensors."""
    text, tensors = _parts(tree)
    encoded = text.encode()
    return len(encoded).to_bytes(8, "little") + encoded + save(tensors)


def from_bytes(content: bytes) -> Any:
    """The tree of ``to_bytes``, tensors on the CPU."""
    end = 8 + int.from_bytes(content[:8], "little")
    return _decode(json.loads(content[8:end]), load(content[end:]))


def _parts(tree: Any) -> tuple[str, dict[str, Tensor]]:
    """The containers as JSON, and the tensors by name: those on the CPU as they lie, unless two share their memory."""
    tensors: dict[str, Tensor] = {}
    text = json.dumps(_encode(tree, "", tensors), allow_nan=False, separators=(",", ":"))
    seen: set[int] = set()
    for name, tensor in tensors.items():
        place = tensor.untyped_storage().data_ptr()
        if place in seen:
            tensors[name] = tensor.clone()  # safetensors refuses what is shared
        seen.add(place)
    return text, tensors


def _encode(value: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    """JSON; what JSON does not have is an object with one key that says what it is."""
    if isinstance(value, Tensor):
        name = path or "value"
        tensors[name] = value.detach().cpu().contiguous()
        return {"tensor": name}
    if isinstance(value, Mapping):
        if all(isinstance(key, str) for key in value):
            return {
                "dict": {key: _encode(item, f"{path}/{key}" if path else key, tensors) for key, item in value.items()}
            }
        pairs = [[_encode(k, f"{path}/key", tensors), _encode(v, f"{path}/{k}", tensors)] for k, v in value.items()]
        return {"map": pairs}
    if isinstance(value, list | tuple):
        items = [_encode(item, f"{path}/{place}", tensors) for place, item in enumerate(value)]
        return {"tuple": items} if isinstance(value, tuple) else items
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise PackingError(f"{path or 'the value'} is a {type(value).__name__}, which a checkpoint cannot hold")


def _decode(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(value, list):
        return [_decode(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    ((kind, inner),) = value.items()
    if kind == "tensor":
        return tensors[inner]
    if kind == "dict":
        return {key: _decode(item, tensors) for key, item in inner.items()}
    if kind == "map":
        return {_decode(key, tensors): _decode(item, tensors) for key, item in inner}
    if kind == "tuple":
        return tuple(_decode(item, tensors) for item in inner)
    if kind == "float":
        return float(inner)
    raise PackingError(f"it holds a value of the unknown kind {kind!r}")


def _digest(version: int, text: str, tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(f"{version}\0{text}".encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"\0{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _link(path: Path, other: Path) -> None:
    """A second name for a file, appearing at once; a copy where the file system has no hard links."""
    aside = other.with_name(f".{other.name}.writing")
    aside.unlink(missing_ok=True)
    try:
        try:
            os.link(path, aside)
        except OSError:
            shutil.copyfile(path, aside)
        os.replace(aside, other)
    finally:
        aside.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """The rename itself reaches the disk only with the folder's own entry (not to be had on Windows)."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
