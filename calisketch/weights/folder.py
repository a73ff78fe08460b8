"""A model is a folder: config.json says what the networks are, model.safetensors holds their weights.

Large weights lie in several files (`weight_files`); the format's version is 2 where they do, and 1 elsewhere, so that
an older calisketch reads what it can and says of the rest that it is too old.

Read and written strictly: a missing, foreign or mis-shaped tensor is an error that names it, and so is a config that a
newer version wrote. The config records the size and SHA-256 of each file of weights, and the SHA-256 of the networks'
description, so that other weights, two exchanged tensors or a changed argument are errors too where every shape fits;
folders written before it did are read without. Nothing is unpickled, and no class is looked up by a name from the file
other than in the table that the caller passes in.
"""

from __future__ import annotations

import hashlib
import json
import os
import reprlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from . import files as weight_files
from .files import LARGEST_FILE, WEIGHTS_FILE, ModelFolderError

FORMAT = "calisketch"
FORMAT_VERSION = 2  # the newest that is read
CONFIG_FILE = "config.json"
_LARGEST_SIZE = 8192  # of a side; far above any model, far below what would fill the memory
_LARGEST_ARGUMENT = 4096  # widths and counts of blocks
LARGEST_CONFIG = 2**20  # bytes
_MOST_NETWORKS = 16
_STORED_AS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def save(
    folder: str | os.PathLike[str],
    networks: Mapping[str, nn.Module],
    size: int,
    info: Mapping[str, Any] | None = None,
    *,
    half: bool = True,
    max_file_bytes: int = LARGEST_FILE,
) -> Path:
    """Write a model folder.

    Args:
        folder: made if it is not there. All files are written aside and synced before the first gets its name, the
            config last; files of weights that the folder's former model had more of are removed.
        networks: by name; each needs `.config`, its class's arguments as JSON has them.
        size: side of the images the networks were trained on.
        info: anything else worth knowing, as JSON has it.
        half: store the weights in float16, half the size; they are read back to float32.
        max_file_bytes: no file of weights is larger; where one is not enough, several are written.

    Returns:
        The folder.

    Raises:
        ValueError: a network without `.config`, a weight that float16 cannot hold, or a size of files that is too small
            for a row of some weight.
        OSError: the folder cannot be written to; the former model in it is left as it was.
    """
    folder = Path(folder)
    described, tensors = {}, {}
    for name, network in networks.items():
        arguments = getattr(network, "config", None)
        if not isinstance(arguments, dict):
            raise ValueError(
                f"network {name!r} ({type(network).__name__}) has no .config with its constructor's arguments; "
                "without it the folder could not be read back. Use one of calisketch.networks."
            )
        described[name] = {"class": type(network).__name__, "arguments": arguments}
        for key, tensor in network.state_dict().items():
            tensors[f"{name}.{key}"] = _stored(tensor, f"{name}.{key}", half)
    files, parts = weight_files.divide(tensors, max_file_bytes)
    config: dict[str, Any] = {
        "format": FORMAT,
        "format_version": 1 if len(files) == 1 else 2,
        "size": int(size),
        "networks": described,
        "info": dict(info or {}),
    }
    json.dumps(config, allow_nan=False)  # before anything is written: it may not be JSON-able
    folder.mkdir(parents=True, exist_ok=True)

    def text_of(written: list[weight_files.WeightFile]) -> str:
        config["sha256"] = {file.name: file.sha256 for file in written} | {"networks": _digest_of_networks(config)}
        config["bytes"] = {file.name: file.size for file in written}
        if parts:
            config["parts"] = parts
        return json.dumps(config, indent=2, ensure_ascii=False) + "\n"

    weight_files.write(folder, files, CONFIG_FILE, text_of)
    return folder


def load(
    folder: str | os.PathLike[str], classes: Mapping[str, Callable[..., nn.Module]]
) -> tuple[dict[str, nn.Module], dict[str, Any]]:
    """Read a model folder.

    Args:
        folder: as `save` wrote it.
        classes: what a network may be: class by name. Nothing outside this table is built.

    Returns:
        The networks by name, float32, on the CPU, in eval mode; and the whole config.

    Raises:
        FileNotFoundError: the folder or one of its files is not there.
        ModelFolderError: another or a newer format, an unknown class, a missing, foreign or mis-shaped tensor or one of
            another kind of number, or files that are not those that were saved together.
    """
    folder = Path(folder)
    config = read_config(folder)
    files = weight_files.listed(config, folder / CONFIG_FILE)
    stored = weight_files.read([_existing(folder, file.name) for file in files])
    # Compared as bare shapes first: a config that claims a giant is refused before the giant takes the memory.
    with torch.device("meta"):
        outlines = {name: _build(folder, name, described, classes) for name, described in config["networks"].items()}
    expected = {
        f"{name}.{key}": tensor for name, network in outlines.items() for key, tensor in network.state_dict().items()
    }
    tensors, apart = weight_files.join(stored, config.get("parts", {}), expected)
    _check_tensors(folder, expected, tensors, apart)
    weight_files.check_hashes(folder, CONFIG_FILE, files)
    _check_networks(folder, config)
    networks = {name: _build(folder, name, described, classes) for name, described in config["networks"].items()}
    for name, network in networks.items():
        own = {key: tensors[f"{name}.{key}"].to(value.dtype) for key, value in network.state_dict().items()}
        network.load_state_dict(own, strict=True)
        network.eval()
    return networks, config


def read_config(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Read and check a model folder's config.json; raises as `load` does."""
    path = _existing(Path(folder), CONFIG_FILE)
    if path.stat().st_size > LARGEST_CONFIG:
        raise ModelFolderError(f"{path} is larger than {LARGEST_CONFIG // 2**10} KiB. Copy the folder again.")
    try:
        config = weight_files.parse_strictly(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ModelFolderError(f"{path} is not JSON ({error}). Copy the folder again.") from error
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        got = config.get("format") if isinstance(config, dict) else type(config).__name__
        raise ModelFolderError(
            f"{path} is not a calisketch model: got format {got!r}, expected {FORMAT!r}. "
            "Give a folder that save_pretrained or a training run wrote."
        )
    version = config.get("format_version")
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise ModelFolderError(
            f"{path} has format version {version!r}; expected a whole number from 1 to {FORMAT_VERSION}. "
            "Copy the folder again."
        )
    if version > FORMAT_VERSION:
        raise ModelFolderError(
            f"{path} has format version {version!r}; this calisketch reads up to {FORMAT_VERSION}. Upgrade calisketch."
        )
    networks, size = config.get("networks"), config.get("size")
    described = isinstance(networks, dict) and all(
        isinstance(entry, dict) and isinstance(entry.get("class"), str) and isinstance(entry.get("arguments"), dict)
        for entry in networks.values()
    )
    if not described or isinstance(size, bool) or not isinstance(size, int):
        raise ModelFolderError(
            f"{path} is incomplete; expected 'size' and 'networks' with 'class' and 'arguments' each. Save it again."
        )
    if not isinstance(networks, dict) or len(networks) > _MOST_NETWORKS:
        raise ModelFolderError(f"{path} describes more than {_MOST_NETWORKS} networks. Copy the folder again.")
    if not 1 <= size <= _LARGEST_SIZE:
        raise ModelFolderError(f"{path} has the size {size}; expected 1 to {_LARGEST_SIZE} pixels. Save it again.")
    if not isinstance(config.get("info", {}), dict):
        raise ModelFolderError(
            f"{path} has an 'info' that is a {type(config['info']).__name__}; expected an object. Save it again."
        )
    weight_files.listed(config, path)
    return config


def in_words(title: str, size: int, networks: Mapping[str, nn.Module | None]) -> str:
    """What a model is, in a line: "CaliSketch(128 px, scn: EncoderDecoder of 2.7 M weights, isn: ...)"."""
    told = [f"{size} px"]
    for name, network in networks.items():
        if network is not None:
            count = sum(weight.numel() for weight in network.parameters())
            told.append(f"{name}: {type(network).__name__} of {count / 1e6:.2g} M weights")
    return f"{title}({', '.join(told)})"


def _check_networks(folder: Path, config: Mapping[str, Any]) -> None:
    digests = config.get("sha256", {})
    if "networks" in digests and digests["networks"] != _digest_of_networks(config):
        raise ModelFolderError(
            f"{folder / CONFIG_FILE} was changed: 'size' or 'networks' is not what the SHA-256 in it was taken of, so "
            "that the weights would be read as those of another network. Copy the folder again."
        )


def _digest_of_networks(config: Mapping[str, Any]) -> str:
    """SHA-256 of all that says what the weights mean."""
    described = {"size": config["size"], "networks": config["networks"]}
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()


def _build(
    folder: Path, name: str, described: Mapping[str, Any], classes: Mapping[str, Callable[..., nn.Module]]
) -> nn.Module:
    if described["class"] not in classes:
        raise ModelFolderError(
            f"{folder / CONFIG_FILE}: network {name!r} is of the unknown class {described['class']!r}; expected one of "
            f"{', '.join(sorted(classes))}. Was it saved by a newer calisketch, or by another program?"
        )
    try:
        for argument, value in described["arguments"].items():
            if isinstance(value, int | float) and abs(value) > _LARGEST_ARGUMENT:
                raise ValueError(f"{argument} is more than {_LARGEST_ARGUMENT}")
        return classes[described["class"]](**described["arguments"])
    except (TypeError, ValueError, ArithmeticError, RuntimeError, MemoryError) as error:
        raise ModelFolderError(
            f"{folder / CONFIG_FILE}: network {name!r} cannot be built as {described['class']} with "
            f"{reprlib.repr(described['arguments'])} ({error}). Restore the arguments it was saved with."
        ) from error


def _check_tensors(
    folder: Path, expected: Mapping[str, Tensor], got: Mapping[str, Tensor], apart: Iterable[str]
) -> None:
    faults = []
    if apart := list(apart):
        faults.append(f"not in the parts that {CONFIG_FILE} says: {_listed(apart)}")
    if missing := sorted(expected.keys() - got.keys()):
        faults.append(f"missing: {_listed(missing)}")
    if foreign := sorted(got.keys() - expected.keys()):
        faults.append(f"foreign: {_listed(foreign)}")
    shapes = [
        f"{key} is {tuple(got[key].shape)}, expected {tuple(expected[key].shape)}"
        for key in sorted(expected.keys() & got.keys())
        if got[key].shape != expected[key].shape
    ]
    if shapes:
        faults.append(f"mis-shaped: {_listed(shapes)}")
    kinds = [
        f"{key} is {got[key].dtype}, expected {expected[key].dtype}"
        for key in sorted(expected.keys() & got.keys())
        if got[key].dtype not in (_STORED_AS if expected[key].is_floating_point() else (expected[key].dtype,))
    ]
    if kinds:
        faults.append(f"of another kind: {_listed(kinds)}")
    measured = {key: tensor for key, tensor in got.items() if tensor.dtype in _STORED_AS and key in expected}
    if broken := sorted(key for key, tensor in measured.items() if not tensor.to(expected[key].dtype).isfinite().all()):
        faults.append(f"not finite: {_listed(broken)}")
    if faults:
        raise ModelFolderError(
            f"the weights in {folder} are not those of the networks that {CONFIG_FILE} describes. "
            f"{'; '.join(faults)}. Copy all files from the same model."
        )


def _listed(names: Iterable[str], most: int = 5) -> str:
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _existing(folder: Path, name: str) -> Path:
    if not folder.is_dir():
        raise FileNotFoundError(
            f"no such model folder: {folder}. Expected a folder with {CONFIG_FILE} and {WEIGHTS_FILE} in it."
        )
    path = folder / name
    if not path.is_file():
        raise FileNotFoundError(
            f"the model folder {folder} has no {name}. It needs {CONFIG_FILE} and all files of weights that are listed "
            "there. Copy the folder again."
        )
    return path


def _stored(tensor: Tensor, key: str, half: bool) -> Tensor:
    tensor = tensor.detach().cpu().contiguous()
    if not (half and tensor.is_floating_point()):
        return tensor.clone()
    stored = tensor.to(torch.float16)
    if not stored.isfinite().all():
        raise ValueError(
            f"{key} holds values that float16 cannot (up to {tensor.abs().max().item():.4g}; at most 65504). "
            "Save with half=False."
        )
    return stored
