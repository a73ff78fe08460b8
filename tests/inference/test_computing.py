"""How networks are run: precision, engine, and that neither is seen in the answer."""

from __future__ import annotations

import copy
import gc
import shutil
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from calisketch import CaliSketch
from calisketch.__main__ import main
from calisketch.inference import computing, onnx_graph
from calisketch.inference.computing import Computing, has_bf16
from calisketch.networks import EncoderDecoder

pytestmark = pytest.mark.usefixtures("one_thread", "no_detector")

EXAMPLES = sorted((Path(__file__).resolve().parents[2] / "examples").glob("*.png"))[:2]
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def shipped() -> CaliSketch:
    return CaliSketch.from_pretrained(precision="bf16")


def tiny(**asked: Any) -> CaliSketch:
    torch.manual_seed(0)
    return CaliSketch(EncoderDecoder(1, 1, 4, 1), EncoderDecoder(1, 3, 4, 1, head="tanh"), 64, **asked)


def apart(one: Any, other: Any) -> np.ndarray:
    return np.abs(np.asarray(one).astype(int) - np.asarray(other).astype(int))


def test_half_precision_moves_the_shipped_models_faces_by_less_than_half_a_grey_level(shipped: CaliSketch) -> None:
    single = shipped.to(precision="fp32")
    assert (shipped.precision, single.precision) == ("bf16", "fp32")
    differences = []
    for half, full in zip(shipped.synthesize(EXAMPLES), single.synthesize(EXAMPLES), strict=True):
        differences.append(apart(half, full))
        assert differences[-1].max() <= 16
    assert 0 < np.mean(differences) < 0.5
    assert np.quantile(differences, 0.999) <= 4
    for half, full in zip(shipped.calibrate(EXAMPLES), single.calibrate(EXAMPLES), strict=True):
        assert apart(half, full).mean() < 0.5


def test_half_precision_gives_the_same_answer_in_any_batch(shipped: CaliSketch) -> None:
    sketches = [*EXAMPLES, EXAMPLES[0]]
    whole = shipped.synthesize(sketches)
    assert not apart(whole[0], whole[2]).any()
    for one, other in zip(whole, shipped.synthesize(sketches, batch_size=1), strict=True):
        assert apart(one, other).max() <= 1


def test_auto_takes_half_precision_where_it_is_known_to_be_safe_and_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    known, other = EncoderDecoder(1, 1, 4, 1), nn.Conv2d(1, 1, 3)
    monkeypatch.setattr(computing, "has_bf16", lambda device: True)
    assert Computing(128).precision(known, CPU) == "bf16"
    assert Computing(64).precision(known, CPU) == "fp32"
    assert Computing(128).precision(other, CPU) == "fp32"
    monkeypatch.setattr(computing, "has_bf16", lambda device: False)
    assert Computing(128).precision(known, CPU) == "fp32"
    assert Computing(128, "bf16").precision(known, CPU) == "bf16"


@pytest.mark.parametrize(("name", "slow"), [("Intel Xeon", True), ("AMD EPYC 9R14", False), ("", False)])
def test_the_processor_is_asked_for_its_arithmetic(monkeypatch: pytest.MonkeyPatch, name: str, slow: bool) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"cpu_name": name}, raising=False)
    for bf16, amx in ((True, False), (False, True), (False, False)):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda bf16=bf16: bf16, raising=False)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda amx=amx: amx, raising=False)
        has_bf16.cache_clear()
        pays = amx or (bf16 and not slow)
        assert has_bf16(CPU) == (torch.backends.mkldnn.is_available() and pays), (bf16, amx)
    assert not has_bf16(torch.device("meta"))
    has_bf16.cache_clear()


def test_an_older_pytorch_does_not_tell_the_processors_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    monkeypatch.setattr(computing, "_CPU_INFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(computing.platform, "processor", lambda: "arm")
    assert computing._processor() == "arm"
    (tmp_path / "cpuinfo").write_text("vendor_id\t: GenuineIntel\nmodel name\t: Some CPU\nflags\t: amd_dcm\n")
    assert computing._processor() == "GenuineIntel Some CPU"


def test_it_says_what_it_runs_in(caplog: pytest.LogCaptureFixture) -> None:
    model = tiny()
    with caplog.at_level("INFO", logger="calisketch"):
        model.synthesize(EXAMPLES[0])
        model.synthesize(EXAMPLES[0])
    said = [message for message in caplog.messages if "runs in" in message]
    assert said == ["EncoderDecoder runs in fp32 (eager) on cpu"] * 2, "once for each network"


def test_another_precision_is_the_same_model(shipped: CaliSketch) -> None:
    other = shipped.to(precision="fp32")
    assert other.isn_generator is shipped.isn_generator
    assert shipped.precision == "bf16"
    assert shipped.to().precision == "bf16"
    moved = shipped.to("meta")
    assert next(moved.isn_generator.parameters()).device.type == "meta"  # type: ignore[union-attr]
    assert next(shipped.isn_generator.parameters()).device.type == "cpu"


def test_a_model_that_has_run_can_be_copied() -> None:
    model = tiny(precision="bf16")
    face = model.synthesize(EXAMPLES[0])
    assert not apart(copy.deepcopy(model).synthesize(EXAMPLES[0]), face).any()


def test_what_a_network_needed_goes_with_it() -> None:
    runs, network = Computing(32), EncoderDecoder(1, 1, 4, 1).eval()
    runs.run(network, torch.zeros(1, 1, 32, 32))
    gone = weakref.ref(network)
    del network
    gc.collect()
    assert gone() is None
    assert not runs._made


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_weights_that_are_changed_in_place_count_in_the_next_run(precision: Any) -> None:
    """Layers rewritten for inference have copies of them, others share them: half of each would be no model at all."""
    ink, (changed, other) = torch.rand(1, 1, 32, 32), (EncoderDecoder(1, 3, 4, 1, head="tanh") for _ in range(2))
    runs = Computing(32, precision)
    before = runs.run(changed, ink)
    changed.load_state_dict(other.state_dict())
    after = runs.run(changed, ink)
    assert not torch.equal(after, before)
    assert torch.equal(after, runs.run(other, ink))


def test_compiled_takes_images_one_at_a_time_and_is_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[dict[str, Any]] = []
    seen: list[tuple[int, ...]] = []

    def compiled(module: nn.Module, **options: Any) -> Callable[[Tensor], Tensor]:
        calls.append(options)
        return lambda ink: (seen.append(tuple(ink.shape)), module(ink))[1]

    monkeypatch.setattr(torch, "compile", compiled)
    monkeypatch.setattr(computing, "need_compiler", lambda device: None)
    network = EncoderDecoder(1, 1, 4, 1).eval()
    ink = torch.rand(3, 1, 32, 32)
    runs = Computing(32, engine="compiled")
    for _ in range(2):
        torch.testing.assert_close(runs.run(network, ink), Computing(32).run(network, ink), atol=1e-5, rtol=0)
    assert len(calls) == 1
    assert seen == [(1, 1, 32, 32)] * 6


def test_wrong_choices_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="precision must be one of auto, fp32, bf16; got 'fp8'"):
        tiny(precision="fp8")
    with pytest.raises(ValueError, match="engine must be one of eager, compiled, openvino; got 'steam'"):
        tiny(engine="steam")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(ValueError, match="needs a C\\+\\+ compiler"):
        tiny(engine="compiled")


def test_an_engine_that_cannot_compute_here_is_refused_before_any_sketch_is_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    out = tmp_path / "faces"
    assert main(["synthesize", str(EXAMPLES[0]), "--out", str(out), "--engine", "compiled"]) == 2
    assert "needs a C++ compiler" in capsys.readouterr().err
    assert not out.exists()
    monkeypatch.setattr(onnx_graph, "need_extra", lambda: None)
    with pytest.raises(ValueError, match="computes on the CPU; got the device 'meta'"):
        tiny().to("meta", engine="openvino")
