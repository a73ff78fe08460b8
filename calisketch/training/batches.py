"""Which samples a step sees, and how they become a batch: a function of (seed, images seen) alone."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from traceback import extract_tb
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset, default_collate

from ..inference.computing import drawing_device
from ..stage import Batch
from .processes import loader_lost

Draw = Callable[..., Tensor]
"""``draw(photo, seed=, epoch=, index=) -> sketch``, such as ``sketching.styles.SketchMixture``."""

VALIDATION_SEED = 20_240_229
"""Validation sketches are the same in every run, whatever its seed, so that plateau figures can be compared."""


def permutation(count: int, seed: int, epoch: int) -> list[int]:
    """The order of ``count`` samples in an epoch; depends on nothing else."""
    generator = torch.Generator().manual_seed((seed * 1_000_003 + epoch) % 2**63)
    return torch.randperm(count, generator=generator).tolist()


class SampleOrder:
    """The endless stream of samples: every epoch a new permutation, every batch full (it may straddle two epochs)."""

    def __init__(self, count: int, seed: int) -> None:
        if count < 1:
            raise ValueError("the training data set is empty. Prepare photos first, or check data.root.")
        self.count = count
        self.seed = seed
        self._known: dict[int, list[int]] = {}

    def slice(self, first: int, length: int) -> list[tuple[int, int]]:
        """(epoch, sample) of the stream's positions first .. first + length - 1."""
        result = []
        for position in range(first, first + length):
            epoch, place = divmod(position, self.count)
            if epoch not in self._known:
                self._known = {key: value for key, value in self._known.items() if key == epoch - 1}
                self._known[epoch] = permutation(self.count, self.seed, epoch)
            result.append((epoch, self._known[epoch][place]))
        return result


class TrainingBatches:
    """The batches of a stage from any place on: per step a list of ``accumulate`` micro-batches on the device.

    With several processes each takes its own part of every step's samples. The place is counted in images, so that a
    run that goes on with other batches, or in another number of processes, leaves no sample out and sees none twice.
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        draw: Draw | None,
        *,
        batch_size: int,
        accumulate: int,
        seed: int,
        device: torch.device,
        channels_last: bool = False,
        workers: int = 0,
        rank: int = 0,
        processes: int = 1,
    ) -> None:
        self.dataset = dataset
        self.draw = draw
        self.batch_size = batch_size
        self.accumulate = accumulate
        self.seed = seed
        self.device = device
        self.channels_last = channels_last
        self.workers = workers
        self.rank = rank
        self.processes = processes
        self.images_per_step = batch_size * accumulate * processes

    def after(self, images: int) -> Generator[list[Batch], None, None]:
        """Endless: the micro-batches of the step that follows on ``images`` seen in the stage, then of the next.

        To be closed, which ends the loading processes.
        """
        plan = _Plan(self, images)
        loader = DataLoader(
            self.dataset,
            batch_sampler=plan,
            num_workers=self.workers,
            pin_memory=self.device.type == "cuda",
            # Its own: making an iterator would otherwise advance the global generator.
            generator=torch.Generator().manual_seed((self.seed * 1_000_003 + images) * 65_537 + self.rank),
            worker_init_fn=leave_signals_to_the_main_process,
        )
        epochs = plan.epochs()
        micro: list[Batch] = []
        loading: Any = iter(loader)
        try:
            for items in _with_plain_errors(loading):
                micro.append(self._finish(items, next(epochs)))
                if len(micro) == self.accumulate:
                    yield micro
                    micro = []
        finally:
            if self.workers:  # they ignore SIGTERM: Python would wait for them at its exit, and never come to it
                loading._shutdown_workers()

    def _finish(self, items: Batch, epochs: list[int]) -> Batch:
        batch = to_device(items, self.device, channels_last=self.channels_last)
        if self.draw is None:
            return batch
        sketches = []
        start = 0
        while start < len(epochs):  # a batch may straddle two epochs, and a draw belongs to one
            end = start + epochs[start:].count(epochs[start])
            index = items["index"][start:end].tolist()
            part = {name: value[start:end] for name, value in batch.items()}
            sketches.append(draw_sketches(self.draw, part, self.seed, epochs[start], index))
            start = end
        batch["sketch"] = sketches[0] if len(sketches) == 1 else torch.cat(sketches)
        return batch


def _with_plain_errors(loader: Iterable[Batch]) -> Iterator[Batch]:
    """What the loader gives; a loading process's error as it was raised there, without the traceback in its text."""
    try:
        yield from loader
    except Exception as error:
        name = type(error).__name__
        found = re.match(rf"(?s)Caught {name} in DataLoader worker.*^(?:\w+\.)*{name}: (.*)", str(error), re.MULTILINE)
        if found is not None:
            raise type(error)(found[1].strip()) from error
        if _went_while_handing_over(error):
            raise loader_lost(error) from error
        raise


def _went_while_handing_over(error: Exception) -> bool:
    """Whether a loading process was killed before torch's own signal handler, whose error is the engine's, told."""
    handing_over = any("multiprocessing" in frame.filename for frame in extract_tb(error.__traceback__))
    return handing_over and isinstance(error, ConnectionError | EOFError | FileNotFoundError)


class _Plan:
    """The batch sampler: lists of sample numbers, one list a micro-batch."""

    def __init__(self, batches: TrainingBatches, images: int) -> None:
        self.batches = batches
        self.images = images

    def _keys(self) -> Iterator[list[tuple[int, int]]]:
        batches = self.batches
        order = SampleOrder(len(batches.dataset), batches.seed)  # type: ignore[arg-type]
        first = self.images
        while True:
            for micro in range(batches.accumulate):
                place = micro * batches.processes + batches.rank
                yield order.slice(first + place * batches.batch_size, batches.batch_size)
            first += batches.images_per_step

    def __iter__(self) -> Iterator[list[int]]:
        return ([sample for _, sample in keys] for keys in self._keys())

    def epochs(self) -> Iterator[list[int]]:
        """The epoch of every sample of every micro-batch, in step with the sampler."""
        return ([epoch for epoch, _ in keys] for keys in self._keys())


def leave_signals_to_the_main_process(worker: int) -> None:
    """For a data-loading process: a Ctrl-C reaches every process of the terminal, and torchrun and batch systems signal
    all of them too; the main one has a step to finish, needs its samples for that, and then ends its loaders itself.
    """
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)


def validation_batches(
    dataset: Dataset[Any],
    draw: Draw | None,
    *,
    batch_size: int,
    first_index: int,
    device: torch.device,
    channels_last: bool = False,
) -> list[Batch]:
    """All samples of a small data set as batches that never change: epoch 0, a seed of their own.

    Args:
        first_index: added to ``index`` after the sketches are drawn, so that no validation sample shares its number
            with a training sample (networks keep what never changes, such as the photos' features, by that number).
    """
    result = []
    count = len(dataset)  # type: ignore[arg-type]
    for start in range(0, count, batch_size):
        items = default_collate([dataset[place] for place in range(start, min(start + batch_size, count))])
        batch = to_device(items, device, channels_last=channels_last)
        if draw is not None:
            batch["sketch"] = draw_sketches(draw, batch, VALIDATION_SEED, 0, items["index"].tolist())
        batch["index"] = batch["index"] + first_index
        result.append(batch)
    return result


def evenly_chosen(dataset: Dataset[Any], most: int) -> Dataset[Any]:
    """``most`` samples of a data set at even distances; all of one that has no more."""
    count = len(dataset)  # type: ignore[arg-type]
    return dataset if count <= most else Subset(dataset, [place * count // most for place in range(most)])


@torch.no_grad()
def draw_sketches(draw: Draw, batch: Batch, seed: int, epoch: int, index: Sequence[int]) -> Tensor:
    """Sketches (B, 1, H, W) of ``photo`` (B, 3, H, W), each seeded by (seed, epoch, its own index).

    What else of the batch ``draw`` looks at, if it is there, it names in ``reads``.
    """
    here = batch["photo"].device
    place = drawing_device(here)
    more = {name: batch[name].to(place) for name in getattr(draw, "reads", ()) if name in batch}
    return draw(batch["photo"].to(place), seed=seed, epoch=epoch, index=index, **more).to(here)


def to_device(batch: Batch, device: torch.device, *, channels_last: bool = False) -> Batch:
    """The batch on the device, images in the memory format asked for.

    ``index`` stays on the CPU, where it is read: reading it from a GPU would wait for all work in flight.
    """
    moved = {name: value if name == "index" else value.to(device, non_blocking=True) for name, value in batch.items()}
    if channels_last:
        moved = {
            name: value.contiguous(memory_format=torch.channels_last) if value.ndim == 4 else value
            for name, value in moved.items()
        }
    return moved
