"""What a training step costs in each stage, in float32 and in bfloat16, and how long it waits for its data."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig
from torch.utils.data import Dataset, Subset

from calisketch.commands.train_config import conf_dir, instantiate
from calisketch.datasets import PreparedPhotos
from calisketch.datasets.drawn.procedural import ProceduralFaces
from calisketch.isn import ISN
from calisketch.networks import VGG19, EncoderDecoder
from calisketch.scn import SCN
from calisketch.sketching.styles import SketchMixture
from calisketch.stage import Batch, Stage
from calisketch.systems import CaliSketchSystem
from calisketch.training import Engine
from calisketch.training.batches import TrainingBatches
from calisketch.training.step import AdversarialStep
from tools.benchmark.timing import peak_memory_mb, seconds, summary

PRECISIONS = {"fp32": "32-true", "bf16": "bf16-mixed"}


def stage_of(name: str, width: int, vgg_width: int, device: torch.device) -> Stage:
    """A stage of the paper's, with networks of random weights."""
    torch.manual_seed(0)
    scn = SCN(EncoderDecoder(1, 1, width, head="sigmoid"))
    isn = ISN(EncoderDecoder(1, 3, width, head="tanh"), vgg=VGG19.random(width=vgg_width))
    return placed(CaliSketchSystem(scn, isn).stages, name, device)


def stage_of_experiment(experiment: DictConfig, name: str, device: torch.device) -> Stage:
    """A stage of an experiment's, with networks of random weights."""
    torch.manual_seed(0)
    return placed(instantiate(experiment.system, "system").stages, name, device, experiment.channels_last)


def placed(stages: Sequence[Stage], name: str, device: torch.device, channels_last: bool = False) -> Stage:
    """The stage of this name, its networks on the device and laid out as in a training."""
    stage = next(each for each in stages if each.name == name)
    for module in (*stage.generators.values(), *stage.discriminators.values(), *stage.frozen.values()):
        module.to(device)
        if channels_last:
            module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return stage


def composed(experiment: str, width: int, vgg_width: int) -> DictConfig:
    """The configuration of a training by conf/experiment, but for the weights of VGG-19 and LPIPS, which are random.

    width: of both generators.
    """
    overrides = [f"experiment={experiment}", "network@system.isn.vgg=vgg19_random", f"system.isn.vgg.width={vgg_width}"]
    overrides += [f"system.{network}.generator.width={width}" for network in ("scn", "isn")]
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        found = compose("train", overrides)
    if found.system.isn.lpips_weight:
        found.system.isn.lpips = {"_target_": "calisketch.networks.LPIPS"}
    if "vgg_width" in found.system.isn.discriminator:  # one of VGG's features
        found.system.isn.discriminator.vgg_width = vgg_width
    return found


def measure(
    name: str,
    *,
    size: int,
    width: int,
    batch: int,
    repeats: int,
    device: torch.device,
    root: str | None = None,
    workers: int = 0,
    vgg_width: int = 64,
    experiment: str | None = None,
) -> dict[str, Any]:
    """Steps of one stage in both precisions in turn, on the same batches; each batch's wait is timed apart.

    The stage is the paper's, or that of an experiment of conf/experiment, whose networks, terms and memory format then
    count; size, batch and the generators' width are as given here. The wait is for fetching the photos and drawing
    their sketches, until the batch is on the device. There are two batches of photos; the first step with each is left
    out, in which the files are decoded and the photos' VGG features are made: training does both once.
    """
    channels_last = False
    if experiment is None:
        stage = stage_of(name, width, vgg_width, device)
    else:
        found = composed(experiment, width, vgg_width)
        stage, channels_last = stage_of_experiment(found, name, device), bool(found.channels_last)
    photos: Dataset[Any] = ProceduralFaces(2 * batch, size)
    if root is not None:
        prepared = PreparedPhotos(root, "train", size)
        photos = Subset(prepared, range(min(2 * batch, len(prepared))))
    mixture = SketchMixture() if getattr(stage, "needs_sketch", True) else None
    batches = TrainingBatches(
        photos,
        mixture,
        batch_size=batch,
        accumulate=1,
        seed=0,
        device=device,
        workers=workers,
        channels_last=channels_last,
    )
    engines = {
        each: Engine("unused", precision=setting, accelerator=device.type, batch_size=batch, quiet=True)
        for each, setting in PRECISIONS.items()
    }
    steps = {each: AdversarialStep(engine.fabric, stage) for each, engine in engines.items()}
    took: dict[str, list[float]] = {each: [] for each in steps}
    waits: list[float] = []
    with closing(batches.after(0)) as stream:
        for turn in range(repeats + 2):
            ready: list[list[Batch]] = []
            wait = seconds(lambda ready=ready: ready.append(next(stream)), device)  # type: ignore[misc]
            if turn >= 2:
                waits.append(wait)
            for each, step in steps.items():
                spent = seconds(lambda step=step, ready=ready: step(ready[0]), device)  # type: ignore[misc]
                if turn >= 2:
                    took[each].append(spent)
    wait = statistics.median(waits)
    medians = {each: statistics.median(values) for each, values in took.items()}
    return {
        **{each: summary(values) for each, values in took.items()},
        "images_per_second": {each: batch / (median + wait) for each, median in medians.items()},
        "times_faster_bf16": medians["fp32"] / medians["bf16"],
        "data_wait": summary(waits),
        "data_share": {each: wait / (median + wait) for each, median in medians.items()},
        "peak_memory_mb": peak_memory_mb(device),
        "channels_last": channels_last,
        "photos": "drawn, in memory" if root is None else "prepared",
        "vgg": f"VGG-19 of width {vgg_width}, random weights",
    }
