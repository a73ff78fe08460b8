"""One file from an address to a place on this computer: checked, continued after an interruption, whole or not at all.

No kept library does this for an arbitrary address: `torch.hub.download_url_to_file` and pooch begin anew after every
interruption, huggingface_hub continues only what lies on its own hub. So: urllib, HTTP's own rules for continuing (RFC
9110, `Range` with `If-Range`), and `filelock` for two processes that want the same file.
"""

from __future__ import annotations

import errno
import hashlib
import http.client
import json
import os
import shutil
import socket
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import warnings
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

__all__ = ["Alone", "DownloadError", "WrongContent", "download", "sha256_of"]

BLOCK = 1 << 20
PROGRESS = 1 << 20  # a connection that brought this many bytes before it broke does not count as a failed attempt
WORTH_RETRYING = (408, 425, 429, 500, 502, 503, 504)
NO_NETWORK = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN)


class DownloadError(RuntimeError):
    """A file could not be had: no network, a server that refuses, a full disk. What has come is kept to go on from."""


class WrongContent(ValueError):
    """What came is not what was published; it has been thrown away."""


def sha256_of(path: str | Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        for block in iter(lambda: stream.read(BLOCK), b""):
            digest.update(block)
    return digest.hexdigest()


def download(
    url: str,
    target: Path,
    sha256: str | None,
    *,
    largest: int | None = None,
    timeout: float = 20.0,
    attempts: int = 4,
    pause: float = 0.5,
) -> None:
    """Makes ``target`` the file that is published at ``url``; does nothing if it is there already.

    The bytes are collected in ``.NAME.part`` beside the target, which a later call (after a kill, too) continues if the
    server still has the same file; they get the target's name only when the SHA-256 is right. Of several processes one
    downloads and the others wait for it; the lock is the system's, so one that was killed holds nobody up.

    Args:
        url: http or https. It may lead on to another one with https, or from http to the same host.
        target: the file to make; its folder is made when missing.
        sha256: in hexadecimal; None if none is published: then a warning says that nothing could be compared.
        largest: bytes that the file has at the most; of a larger one no more than these are taken.
        timeout: seconds without a byte after which a connection counts as broken.
        attempts: connections in a row that may break without bringing anything.
        pause: seconds before the second attempt; doubled before each further one.

    Raises:
        DownloadError: it cannot be had now; the message says why.
        WrongContent: its SHA-256 is another one, with both; it is larger than it may be; or a web page came instead.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with Alone(target):
            if target.is_file():
                return
            part = _Part(target, url, largest)
            _collect(part, sha256 is not None, timeout, attempts, pause)
            try:
                _place(part, sha256)
            except WrongContent:
                if not part.joined:
                    raise
                _collect(part, True, timeout, attempts, pause)  # pieces of two versions, perhaps: once more, whole
                _place(part, sha256)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        if full:
            _Part(target, url).discard()  # give the room back
        remedy = "make room there" if full else "check the folder's rights"
        raise DownloadError(
            f"{target} cannot be written: {error}; {remedy}, or name another folder in CALISKETCH_CACHE"
        ) from error


class Alone:
    """Holds the lock of a target, a file or a folder; the lock's own file goes once the target is there."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.path = target.with_name(f".{target.name}.lock")
        self.lock = FileLock(self.path)

    def __enter__(self) -> None:
        try:
            self.lock.acquire(timeout=0)
        except Timeout:
            print(f"waiting for another process that downloads {self.target.name}", file=sys.stderr, flush=True)
            self.lock.acquire()

    def __exit__(self, *_: object) -> None:
        if self.target.exists():
            self.path.unlink(missing_ok=True)
        self.lock.release()


@dataclass
class _Part:
    """The bytes that have come so far, and of which version of which address they are."""

    target: Path
    url: str
    largest: int | None = None
    joined: bool = False  # whether bytes of an earlier answer are in it

    @property
    def path(self) -> Path:
        return self.target.with_name(f".{self.target.name}.part")

    @property
    def _about(self) -> Path:
        return self.target.with_name(f".{self.target.name}.part.json")

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def validator(self) -> str | None:
        """What the server called this version of the file; None if it did not, or the part is of another address."""
        try:
            about = json.loads(self._about.read_text(encoding="utf-8"))
            return about["validator"] if about["url"] == self.url else None
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None  # killed between the two files: the part is of unknown origin

    def begin(self, validator: str | None) -> None:
        """Empties the part; its bytes will be of the version ``validator``."""
        self.discard()
        self.joined = False
        self._about.write_text(json.dumps({"url": self.url, "validator": validator}), encoding="utf-8")

    def check_size(self, size: int | None) -> None:
        """Raises WrongContent where the file is larger than it may be."""
        if size is not None and self.largest is not None and size > self.largest:
            raise WrongContent(
                f"the download of {self.url} was refused: got {size} bytes or more, expected {self.largest} at the "
                "most. Compare the address with the publisher's."
            )

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self._about.unlink(missing_ok=True)


def _collect(part: _Part, checked: bool, timeout: float, attempts: int, pause: float) -> None:
    """Connects until the part is whole."""
    failed, failure = 0, f"could not download {part.url}{_proxy(part.url)}"
    while True:
        before = part.size
        try:
            if _connect(part, checked, timeout):
                return
            reason: object = f"the connection ended after {part.size} bytes"
        except WrongContent:
            part.discard()
            raise
        except urllib.error.HTTPError as error:
            if error.code not in WORTH_RETRYING:
                raise DownloadError(f"{failure}: the server says {error.code} {error.reason}") from error
            reason = f"the server says {error.code} {error.reason}"
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            reason = getattr(error, "reason", None) or repr(error)
            unreachable = getattr(reason, "errno", None) in NO_NETWORK or isinstance(reason, TimeoutError)
            if isinstance(reason, socket.gaierror) or unreachable:
                raise DownloadError(f"{failure}: no network ({reason})") from error
        failed = 0 if part.size - before >= PROGRESS else failed + 1
        if failed >= attempts:
            kept = f"; {part.size} bytes are kept for the next time" if part.size else ""
            raise DownloadError(f"{failure} in {attempts} attempts: {reason}{kept}")
        time.sleep(pause * 2 ** max(failed - 1, 0))


def _proxy(url: str) -> str:
    """Which proxy the environment sends us through, for a message; without its password."""
    asked = urllib.parse.urlsplit(url)
    proxy = urllib.request.getproxies().get(asked.scheme)
    if not proxy or urllib.request.proxy_bypass(asked.netloc):
        return ""
    place = proxy.rpartition("//")[2].rpartition("@")[2]
    return f" through the proxy {place} ({asked.scheme}_proxy)"


def _connect(part: _Part, checked: bool, timeout: float) -> bool:
    """One connection; True if the part is whole after it."""
    headers = {"User-Agent": "calisketch", "Accept-Encoding": "identity"}
    validator = part.validator()
    if part.size and (validator or checked):  # without either, bytes of two versions could be joined unnoticed
        headers["Range"] = f"bytes={part.size}-"
        if validator:
            headers["If-Range"] = validator
    else:
        part.discard()
    try:
        opener = urllib.request.build_opener(_Redirects)
        answer = opener.open(urllib.request.Request(part.url, headers=headers), timeout=timeout)
    except urllib.error.HTTPError as error:
        if error.code != http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        if _range(error.headers)[1] == part.size:
            part.joined = True
            return True
        part.discard()
        return False
    with answer:
        first, total = _range(answer.headers) if answer.status == http.client.PARTIAL_CONTENT else (0, None)
        if answer.status != http.client.PARTIAL_CONTENT:
            said = answer.headers["Content-Length"] or ""
            total = int(said) if said.isdecimal() else None  # as http.client does, which reads to the end then
        part.check_size(total)
        theirs = _validator(answer.headers)
        if first == 0:
            part.begin(theirs)
        elif first != part.size or (validator and theirs and theirs != validator):
            part.discard()
            return False
        else:
            part.joined = True
        _check_room(part, total)
        _copy(answer, part, total)
    return total is None or part.size == total


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows where nobody on the way can read along or answer instead: to https, or from http to the same host."""

    def redirect_request(self, req: urllib.request.Request, *answer: Any) -> urllib.request.Request | None:
        before, after = urllib.parse.urlsplit(req.full_url), urllib.parse.urlsplit(answer[-1])
        if after.scheme == "https" or (after.scheme == before.scheme == "http" and after.hostname == before.hostname):
            return super().redirect_request(req, *answer)
        raise DownloadError(
            f"could not download {req.full_url}: it leads on to {answer[-1]}, and only https, or http to the same "
            "host, is followed. Ask for the file's own address"
        )


def _copy(answer: Any, part: _Part, total: int | None) -> None:
    shown, last = sys.stderr.isatty(), 0.0
    of = f" of {total / 1e6:.1f}" if total else ""
    with open(part.path, "ab") as stream:
        while block := _received(answer):
            part.check_size(stream.tell() + len(block))
            stream.write(block)
            if shown and time.monotonic() - last > 0.2:
                last = time.monotonic()
                print(f"\r{part.target.name}: {stream.tell() / 1e6:.1f}{of} MB", end="", file=sys.stderr, flush=True)
        stream.flush()
        os.fsync(stream.fileno())
    if shown:
        print(file=sys.stderr)


def _received(answer: Any) -> bytes:
    """What has come, without waiting for a whole block that may never come. Raises ConnectionError, TimeoutError."""
    try:
        block: bytes = answer.read1(BLOCK)
    except (ConnectionError, TimeoutError):
        raise
    except OSError as error:  # TLS that breaks, a network that goes away: not the disk's
        raise ConnectionError(str(error)) from error
    return block


def _check_room(part: _Part, total: int | None) -> None:
    free = shutil.disk_usage(part.target.parent).free
    if total is not None and total - part.size > free:
        needed = (total - part.size) / 1e6
        raise OSError(errno.ENOSPC, f"{needed:.1f} MB are still to come, and the disk has {free / 1e6:.1f} MB left")


def _place(part: _Part, sha256: str | None) -> None:
    got, size = sha256_of(part.path), part.size
    with open(part.path, "rb") as stream:
        is_page = stream.read(512).lstrip().lower().startswith((b"<!doctype html", b"<html"))
    if got != sha256 and (sha256 or is_page):
        part.discard()
        raise WrongContent(
            f"the download of {part.url} was refused: got {'a web page, ' if is_page else ''}SHA-256 {got} ({size} "
            f"bytes), expected {sha256 or 'a file of weights'}. Try again, or download it by hand and compare."
        )
    if sha256 is None:
        warnings.warn(
            f"{part.target.name}: no SHA-256 is published for {part.url}, so nothing could be compared; got {got}.",
            stacklevel=4,
        )
    os.replace(part.path, part.target)
    part.discard()


def _range(headers: Message) -> tuple[int, int | None]:
    """(first byte, length of the whole file) of a Content-Range, "bytes 7-99/100" or "bytes */100"; else (-1, None)."""
    span, _, total = (headers["Content-Range"] or "").removeprefix("bytes ").partition("/")
    first = span.split("-")[0]
    return int(first) if first.isdigit() else -1, int(total) if total.isdigit() else None


def _validator(headers: Message) -> str | None:
    """The strong entity tag, or else the date; a weak tag may stand for other bytes."""
    tag: str | None = headers["ETag"]
    return tag if tag and not tag.startswith("W/") else headers["Last-Modified"]
