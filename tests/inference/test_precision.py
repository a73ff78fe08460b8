"""Half precision trains as single precision does: every term of SCN and ISN, step for step, in miniature.

The same at the size of experiment=smoke/cali_sketch, by hand: run it with precision=32-true, bf16-mixed and 16-mixed,
log_every=1 and a run_dir for each, then tools/curves.py on them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from calisketch.datasets.drawn.procedural import ProceduralFaces
from calisketch.isn import ISN
from calisketch.networks import VGG19, EncoderDecoder, PatchGAN70
from calisketch.scn import SCN
from calisketch.stage import Schedule
from calisketch.systems import CaliSketchSystem
from calisketch.training import Engine
from calisketch.training.logging import read_metrics

STEPS = 60
LAST = 25
FIRST_STEP = 5e-3
"""How far a term may be off in the first step, where only the arithmetic differs: bf16 keeps 8 bits."""
LATER = 0.05
"""How far the mean of the last steps may be off; another seed moves a term by 2 to 45 per cent, other kernels in single
precision by 1."""
LATER_OF = {"isn/tv": 0.08}
"""Terms that may be farther off: total variation was 5.7 per cent on some processors, in both half precisions."""
DIRECTION = 0.7
"""Least cosine between the way a network's weights went; another seed has 0.1 to 0.6."""


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def draw(photo: Tensor, *, seed: int, epoch: int, index: list[int]) -> Tensor:
    del seed, epoch, index
    return 1 - photo.mean(1, keepdim=True)


def train(run_dir: Path, precision: str) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Any]]:
    """Each term's curve, the way each generator's weights went, and the last record; of the joint stage."""
    torch.manual_seed(0)
    scn = SCN(EncoderDecoder(1, 1, width=2, blocks=1, head="sigmoid"), PatchGAN70(1, 2))
    isn = ISN(EncoderDecoder(1, 3, width=2, blocks=1, head="tanh"), PatchGAN70(3, 2), VGG19.random(width=2))
    system = CaliSketchSystem(scn, isn, {name: Schedule(STEPS, 3e-4) for name in ("scn", "isn", "joint")})

    def weights() -> dict[str, Tensor]:
        return {
            name: torch.nn.utils.parameters_to_vector(module.parameters()).detach().clone()
            for name, module in system.generators.items()
        }

    before = weights()
    seldom = dict.fromkeys(("validate_every", "preview_every", "checkpoint_every"), 10_000)
    engine = Engine(
        run_dir,
        precision=precision,
        accelerator="cpu",
        batch_size=2,
        log_every=1,
        preview_samples=1,
        quiet=True,
        **seldom,
    )
    engine.fit(system.stages, ProceduralFaces(8, 32, seed=0), draw=draw, only=["joint"])
    records = [record for record in read_metrics(run_dir / "metrics.jsonl") if record["kind"] == "train"]
    terms = [{**record["generator"], **record["discriminator"]} for record in records]
    curves = {name: torch.tensor([step[name] for step in terms]) for name in terms[0]}
    return curves, {name: after - before[name] for name, after in weights().items()}, records[-1]


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    return train(tmp_path_factory.mktemp("single"), "32-true")[:2]


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_every_term_goes_the_way_it_goes_in_single_precision(
    precision: str, single: tuple[dict[str, Tensor], dict[str, Tensor]], tmp_path: Path
) -> None:
    curves, ways, last = train(tmp_path, precision)
    assert {"scn/contour", "scn/detail", "scn/adversarial", "isn/l1", "isn/perceptual", "isn/style", "isn/tv"} <= set(
        curves
    )
    for name, expected in single[0].items():
        first = abs(curves[name][0] / expected[0] - 1)
        later = abs(curves[name][-LAST:].mean() / expected[-LAST:].mean() - 1)
        assert first < FIRST_STEP, f"{name}: {first:.2%} off in the first step"
        assert later < LATER_OF.get(name, LATER), f"{name}: {later:.2%} off in the last {LAST} steps"
    for name, expected in single[1].items():
        cosine = torch.cosine_similarity(ways[name], expected, dim=0)
        assert cosine > DIRECTION, f"{name}: the weights went another way, cosine {cosine:.2f}"
    assert sum(last.get("skipped_steps", {}).values()) <= 5, "only while the scale finds its place"
