"""Models that lie at a web address: fetched into the cache, compared with the hash that their publisher gave.

A published model is a model folder on any web server, and one SHA-256: that of its config.json, which in turn holds the
sizes and SHA-256 of all its other files. Whoever has the hash from somebody trusted has that model or none. What was
fetched lies in the cache under its hash, so that a second use asks nobody; it gets there as a whole folder or not at
all, is continued after an interruption, and is compared again at every use.
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import os
import re
import shutil
import urllib.parse
from pathlib import Path

from . import cache_folder
from . import files as weight_files
from . import folder as model_folder
from .download import Alone, DownloadError, download, sha256_of
from .folder import CONFIG_FILE, LARGEST_CONFIG, ModelFolderError

_LARGEST_UNSTATED = 2**30  # bytes of a file whose config, of an older calisketch, does not say its size
_LOG = logging.getLogger("calisketch")


def is_address(model: object) -> bool:
    """Whether a model's name is a URL of whatever kind, and neither a shipped model's name nor a folder."""
    return isinstance(model, str) and re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", model) is not None


def fetch_model(address: str, sha256: str | None = None, *, timeout: float = 20.0) -> Path:
    """The folder of the model that is published at an address; downloaded where the cache does not have it.

    Args:
        address: of the folder or of the config.json in it; https, or http of this computer. "#sha256=HEX" may follow. A
            query ("?...") is sent for each file, and shown in messages.
        sha256: of config.json, 64 hexadecimal digits; needed where the address does not end with it.
        timeout: seconds without a byte after which a connection counts as broken; a few more are tried.

    Returns:
        The folder in the cache, `models/SHA256` below `weights.cache_folder()`.

    Raises:
        ValueError: another kind of address, or no hash, or two different ones.
        DownloadError: it cannot be had now: no network, a server that refuses, a full disk.
        WrongContent: a file is not the one that was published, or is larger than the config says.
        ModelFolderError: what was published is not a whole model folder, or one that a newer calisketch wrote.
    """
    base, sha256 = _parsed(address, sha256)
    folder = cache_folder() / "models" / sha256
    if _is_whole(folder, sha256):
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with Alone(folder):
            if not _is_whole(folder, sha256):  # another process may have been first
                if folder.exists():
                    _LOG.warning("%s is damaged; the model is downloaded again", folder)
                    shutil.rmtree(folder)
                _fetch(base, sha256, folder, timeout)
    except DownloadError as error:
        raise DownloadError(
            f"the model {_shown(base)} could not be downloaded: {error}. Try again when that is mended (what has come "
            "is kept), or give the folder of a copy."
        ) from error
    except OSError as error:
        raise DownloadError(
            f"{folder} cannot be written: {error}; check the folder's rights, or name another one in CALISKETCH_CACHE."
        ) from error
    return folder


def check_hash(folder: Path, sha256: str) -> Path:
    """A model folder on this computer, if it is the one of this hash; FileNotFoundError or ModelFolderError if not."""
    expected = _hash(sha256)
    model_folder.read_config(folder)
    if (got := sha256_of(folder / CONFIG_FILE)) != expected:
        raise ModelFolderError(
            f"{folder} is not the model that was asked for: its {CONFIG_FILE} has the SHA-256 {got}, expected "
            f"{expected}. Give the folder of that model, or leave the hash away to trust this one."
        )
    _listed(folder)
    return folder


def published_hash(folder: str | os.PathLike[str]) -> str:
    """The SHA-256 to publish with a model folder; checks first that all files are those that its config lists.

    Raises:
        FileNotFoundError: the folder or one of its files is not there.
        ModelFolderError: a file is another one than was saved, or the folder is from before configs held hashes.
    """
    folder = Path(folder)
    files = _listed(folder)
    for file in files:
        if not (folder / file.name).is_file():
            raise FileNotFoundError(f"the model folder {folder} has no {file.name}. Copy the folder again.")
    weight_files.check_hashes(folder, CONFIG_FILE, files)
    return sha256_of(folder / CONFIG_FILE)


def how_to_publish(folder: str | os.PathLike[str], loader: str = "CaliSketch") -> str:
    """What to do so that others can load a model folder from the web, with its hash; errors as for `published_hash`.

    loader: the name of the class that loads it.
    """
    digest = published_hash(folder)
    names = [CONFIG_FILE, *(file.name for file in _listed(Path(folder)))]
    sizes = "\n".join(f"  {(Path(folder) / name).stat().st_size:>13,} bytes  {name}" for name in names)
    said = (
        f"To publish it, put these files of {folder} below one https address:\n{sizes}\n"
        "and tell others, with that address in the place of https://HOST/FOLDER:\n"
        f'  {loader}.from_pretrained("https://HOST/FOLDER", sha256="{digest}")'
    )
    if loader != "CaliSketch":
        return said
    return f"{said}\n  calisketch synthesize sketch.png --out faces --model 'https://HOST/FOLDER#sha256={digest}'"


def _parsed(address: str, sha256: str | None) -> tuple[urllib.parse.SplitResult, str]:
    """The address of the folder, ending with a slash, and the hash."""
    try:
        parts = urllib.parse.urlsplit(address)
        host = parts.hostname or ""
    except ValueError as error:
        raise ValueError(f"{address!r} is no address of a model: {error}. Give https://HOST/FOLDER.") from error
    if parts.username is not None or parts.password is not None:
        raise ValueError(
            f"the address of a model on {host} holds a name or password, which would be shown in messages. Give one "
            "without, and a folder if that is all there is."
        )
    if not host or not (parts.scheme == "https" or (parts.scheme == "http" and is_this_computer(host))):
        raise ValueError(
            f"a model cannot be loaded from {_shown(parts)}: got {parts.scheme}://{host}, expected https://HOST/FOLDER "
            "(http is for this computer alone). Download the folder yourself and give its path."
        )
    given = [_hash(sha256)] if sha256 is not None else []
    if parts.fragment:
        name, _, value = parts.fragment.partition("=")
        if name.lower() != "sha256":
            raise ValueError(f"got #{parts.fragment} at the end of {_shown(parts)}, expected #sha256=HEX.")
        given.append(_hash(value))
    if not given:
        raise ValueError(
            f"{_shown(parts)} was given without a hash, and a model from the web is not loaded by its address alone: "
            f"got no sha256, expected the SHA-256 of its {CONFIG_FILE}. Its publisher has it (`calisketch "
            "publish FOLDER` prints it). Give from_pretrained(URL, sha256=...), or #sha256=... at the address's end."
        )
    if len(set(given)) > 1:
        raise ValueError(f"two hashes were given for {_shown(parts)}: {given[0]} and {given[1]}. Give the right one.")
    path = parts.path.removesuffix(f"/{CONFIG_FILE}").rstrip("/") + "/"
    return parts._replace(path=path, fragment=""), given[0]


def _hash(text: str) -> str:
    found = text.strip().lower() if isinstance(text, str) else ""
    if not re.fullmatch("[0-9a-f]{64}", found):
        raise ValueError(f"sha256 must be 64 hexadecimal digits, those of the model's {CONFIG_FILE}; got {text!r}.")
    return found


def is_this_computer(host: str) -> bool:
    """Whether a host, by name or number, is reached by nobody but the computer itself."""
    with contextlib.suppress(ValueError):  # a name, not a number
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def _shown(parts: urllib.parse.SplitResult) -> str:
    return urllib.parse.urlunsplit(parts._replace(fragment=""))


def _listed(folder: Path) -> list[weight_files.WeightFile]:
    """The files of weights, by a config that holds the hash of each."""
    files = weight_files.listed(model_folder.read_config(folder), folder / CONFIG_FILE)
    for file in files:
        if file.sha256 is None:
            raise ModelFolderError(
                f"{folder / CONFIG_FILE} holds no SHA-256 of {file.name}: an older calisketch wrote it, and it vouches "
                "for no weights. Load the folder without a hash, and save the model again with save_pretrained."
            )
    return files


def _is_whole(folder: Path, sha256: str) -> bool:
    """Whether the model of this hash lies in a folder; ModelFolderError if it does, but cannot be read here."""
    config = folder / CONFIG_FILE
    if not config.is_file() or sha256_of(config) != sha256:
        return False
    return all(
        (folder / file.name).is_file() and sha256_of(folder / file.name) == file.sha256 for file in _listed(folder)
    )


def _fetch(base: urllib.parse.SplitResult, sha256: str, folder: Path, timeout: float) -> None:
    """Collect a model beside its folder, where the next call goes on from, and give the folder its name at the end."""
    aside = folder.with_name(f".{sha256}.part")

    def get(name: str, expected: str | None, largest: int) -> None:
        target = aside / name
        if target.is_file() and sha256_of(target) != expected:
            target.unlink()
        url = urllib.parse.urlunsplit(base._replace(path=base.path + name))
        download(url, target, expected, largest=largest, timeout=timeout)

    try:
        get(CONFIG_FILE, sha256, LARGEST_CONFIG)
        files = _listed(aside)
        for file in files:
            stated = _LARGEST_UNSTATED if file.size is None else file.size
            get(file.name, file.sha256, min(stated, weight_files.LARGEST_WEIGHTS))
        for path in aside.iterdir():
            if path.name not in {CONFIG_FILE, *(file.name for file in files)}:
                path.unlink()  # a lock that a killed process left
        os.replace(aside, folder)
        weight_files.sync_folder(folder.parent)
    finally:
        if aside.is_dir() and all(path.suffix == ".lock" for path in aside.iterdir()):
            shutil.rmtree(aside)  # nothing came
