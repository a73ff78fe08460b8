"""How one item is made: its photo, contour, detail and artist images, in this process or spread over many."""

from __future__ import annotations

import hashlib
import io
import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from multiprocessing import connection, get_context, parent_process
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional

from calisketch.datasets.border import Corners, source_corners
from calisketch.datasets.manifest import write_aside
from calisketch.datasets.preparing.aligned import align_photo, centre_square, cut_rows, resize
from calisketch.datasets.preparing.placed_drawings import place_drawing
from calisketch.datasets.preparing.sources import ImageSource, Problem, Unreadable, decode_grey, decode_rgb
from calisketch.networks.hed import HED
from calisketch.sketching.edges import REFERENCE_SIZE, canny, canny_sigma_at, hed

__all__ = ["Item", "Job", "Result", "make_tracks", "source_sha256"]


@dataclass(frozen=True)
class Item:
    """One photo to prepare, and the artist's drawing of it where there is one.

    note: what is to be said of it if it is taken.
    """

    name: str
    split: str
    photo: ImageSource
    artist: ImageSource | None = None
    note: Problem | None = None


def source_sha256(item: Item) -> str:
    """One hash over the bytes that an item is made from; empty if they cannot be read."""
    digest = hashlib.sha256()
    try:
        for source in (item.photo, item.artist):
            digest.update(source.read() if source is not None else b"none")
    except Unreadable:
        return ""
    return digest.hexdigest()


@dataclass(frozen=True)
class Job:
    """What a worker has to know: where to write, and the settings.

    out: the prepared folder. below: the folder in it that gets the tracks, "" for itself. aside: where files lie while
    they are written, on the same disk.
    """

    out: Path
    below: str
    aside: Path
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Result:
    """What became of an item: its entry for the manifest, None if it was not taken, and what went wrong."""

    name: str
    entry: dict[str, Any] | None
    problems: list[Problem]


def make_tracks(job: Job, items: Sequence[Item], workers: int | None) -> Iterator[Result]:
    """Make the files of every item, in nearly their order. workers: processes; 0 or 1: this one; None: one per core.

    Every process computes with one thread, so that the number of threads never changes a pixel, and only a few items
    are handed out ahead. Raises RuntimeError if a worker process dies, OSError if the disk is full.
    """
    if workers is None:
        workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = min(workers, len(items))
    if workers > 1:
        yield from _spread(job, items, workers)
        return
    worker = Worker(job)
    for item in items:
        with _one_thread():
            result = worker(item)
        yield result


def _spread(job: Job, items: Sequence[Item], workers: int) -> Iterator[Result]:
    # Spawned, not forked: a fork of a process whose torch has started threads can hang.
    pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=_start, initargs=(job,))
    flying: dict[Future[Result], Item] = {}
    waiting = iter(items)
    try:
        while True:
            with _deaf_to_ctrl_c():  # which goes to all; a process that is started here is ended by this one
                flying.update((pool.submit(_run, item), item) for item in islice(waiting, 3 * workers - len(flying)))
            if not flying:
                return
            for future in wait(flying, return_when=FIRST_COMPLETED).done:
                result = future.result()
                del flying[future]
                yield result
    except BrokenProcessPool as error:
        # The pool starts them in order and has one more than workers at hand.
        suspects = ", ".join(item.photo.shown for item in list(flying.values())[: workers + 1])
        raise RuntimeError(
            "a worker process ended by itself, most likely for lack of memory, at one of these photos: "
            f"{suspects or 'none was handed out yet'}. What was made is kept; run the same command again, with fewer "
            "workers (workers=1)."
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """Keep SIGINT waiting; processes started meanwhile never get it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])


_worker: Worker | None = None


def _start(job: Job) -> None:
    global _worker
    torch.set_num_threads(1)  # the processes share the cores
    cv2.setNumThreads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _worker = Worker(job)


def _end_with_parent() -> None:
    """A worker waits for work on a pipe that it holds open itself: it would not notice that its parent was killed."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def _run(item: Item) -> Result:
    assert _worker is not None
    return _worker(item)


class Worker:
    """Makes the files of one item after the other."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.size: int = job.settings["size"]
        self.network: HED | None = None
        for track in ("photo", "detail", "contour", "artist"):
            (job.out / job.below / track).mkdir(parents=True, exist_ok=True)

    def __call__(self, item: Item) -> Result:
        problems: list[Problem] = []
        try:
            tracks, corners = self.tracks(item, problems)
        except Unreadable as error:
            return Result(item.name, None, [*problems, Problem(item.photo.shown, error.reason, error.remedy)])
        files = {}
        for track, image in tracks.items():
            stream = io.BytesIO()
            Image.fromarray(image).save(stream, "PNG")
            path = f"{self.job.below}{track}/{item.name}.png"
            write_aside(self.job.out / path, stream.getvalue(), aside=self.job.aside)
            files[track] = {"path": path, "sha256": hashlib.sha256(stream.getvalue()).hexdigest()}
        # A drawing that could not be taken leaves no source hash, so that the next run tries it again.
        source = source_sha256(item) if not problems else ""
        entry: dict[str, Any] = {"split": item.split, "source_sha256": source, "files": files}
        if corners is not None:
            entry["source_corners"] = corners
        return Result(item.name, entry, problems)

    def tracks(self, item: Item, problems: list[Problem]) -> tuple[dict[str, NDArray[np.uint8]], Corners | None]:
        """The item's images by track, and where the photo's corners lie in them; None: the photo fills the frame.

        Raises Unreadable for the photo; problems with the drawing are appended.
        """
        original = decode_rgb(item.photo.read())
        photo, corners = self.square(original, self.size)
        tracks = {"photo": photo}
        settings = self.job.settings
        if settings["contour"] == "hed":
            # HED's strokes are some pixels wide whatever the photo's size: on a small one eyes and lips are lost. So it
            # looks at the reference size at least, and its map is reduced by averaging.
            looked_at = max(self.size, REFERENCE_SIZE)
            seen = photo if looked_at == self.size else self.square(original, looked_at)[0]
            if self.network is None:
                self.network = HED.from_pretrained()
            contour = hed(_to_tensor(seen).float(), self.network, equalise=settings["equalise"])
            tracks["contour"] = _to_bytes(functional.interpolate(contour, size=(self.size, self.size), mode="area"))
        # In double precision, as scikit-image itself reads 8-bit photos: no pixel of Canny differs.
        sigma = canny_sigma_at(self.size, settings["canny_sigma"])
        tracks["detail"] = _to_bytes(canny(_to_tensor(photo), sigma=sigma))
        if item.artist is not None:
            try:
                drawing = decode_grey(item.artist.read())
                if "drawings" in settings:  # of pairs
                    tracks["artist"] = place_drawing(drawing, original, settings)
                else:
                    tracks["artist"] = 255 - self.square(drawing, self.size)[0]
            except Unreadable as error:
                problems.append(Problem(item.artist.shown, error.reason, error.remedy))
        return tracks, corners

    def square(self, image: NDArray[np.uint8], size: int) -> tuple[NDArray[np.uint8], Corners | None]:
        """The image's square at `size`, and its corners there; None where a part of the image fills the square.

        Raises Unreadable.
        """
        if self.job.settings["align"] == "rows":
            return resize(cut_rows(image, self.job.settings["rows"]), size), None
        if self.job.settings["align"] == "centre":
            return resize(centre_square(image), size), None
        aligned = align_photo(image, size)
        if aligned is None:
            remedy = "Crop it to the face, or prepare with align=false."
            raise Unreadable("shows no face that the detector finds", remedy)
        square, matrix = aligned
        return square, source_corners(matrix, *image.shape[:2])


def _to_tensor(photo: NDArray[np.uint8]) -> torch.Tensor:
    """(H, W, 3) uint8 -> (1, 3, H, W) in [0, 1], double."""
    return torch.from_numpy(photo.copy()).permute(2, 0, 1)[None].double() / 255


def _to_bytes(line_map: torch.Tensor) -> NDArray[np.uint8]:
    """(1, 1, H, W) in [0, 1], ink = 1 -> (H, W) uint8, ink = white."""
    return (line_map[0, 0] * 255).round().to(torch.uint8).numpy()
