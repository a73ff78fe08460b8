"""Where an evaluation computes: the device by its name, float32 as it is, and the report that says so."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from calisketch import CaliSketch
from calisketch.datasets.drawn.procedural import ProceduralFaces
from calisketch.evaluation import device, evaluate
from calisketch.evaluation.device import chosen_device, drawing_device, exact_float32
from calisketch.evaluation.measures import every_measure as measures
from calisketch.evaluation.running import evaluating
from calisketch.evaluation.running.frozen import draw_frozen
from calisketch.networks import LPIPS, EncoderDecoder

SIZE = 48


def switches() -> list[Any]:
    return [getattr(holder, name) for holder, name, _ in device._switches()]


def test_a_gpu_is_taken_where_there_is_one_and_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "checked_device", torch.device)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    for there, expected in ((True, "cuda:1"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert chosen_device() == torch.device(expected)
        assert chosen_device("cpu") == torch.device("cpu")
    assert chosen_device("cuda") == torch.device("cuda", 1), "as a network there says it"
    assert chosen_device("cuda:0") == torch.device("cuda", 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert chosen_device() == torch.device("mps"), "Apple's, where there is no other"
    assert chosen_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "meta", "cuda:x"])
def test_a_device_that_there_is_not_is_named_with_what_to_use(name: str) -> None:
    with pytest.raises(ValueError, match=f"cannot compute on the device '{name}'.*Use 'cpu'"):
        chosen_device(name)
    with pytest.raises(ValueError, match=f"cannot compute on the device '{name}'"):
        evaluate(SimpleNamespace(size=SIZE, info={}), ProceduralFaces(3, SIZE), device=name)


def test_tf32_is_off_within_and_as_it_was_afterwards() -> None:
    (convolutions, name, exact), *_ = device._switches()
    before = switches()
    allowed = not exact if isinstance(exact, bool) else "tf32"
    try:
        setattr(convolutions, name, allowed)
        mine = switches()
        with exact_float32():
            assert switches() == [exact, exact]
        assert switches() == mine
        with pytest.raises(KeyError), exact_float32():
            raise KeyError
        assert switches() == mine
        assert mine[0] == allowed
    finally:
        setattr(convolutions, name, before[0])


@pytest.mark.skipif(not hasattr(torch.backends.cudnn, "conv"), reason="this PyTorch has the older switches alone")
def test_whoever_set_the_newer_switches_of_tf32_gets_them_back() -> None:
    convolutions: Any = torch.backends.cudnn.conv
    before = torch.backends.cudnn.allow_tf32
    try:
        convolutions.fp32_precision = "ieee"  # and not of recurrent networks: the older switch cannot be read now
        mine = switches()
        with exact_float32():
            assert set(switches()) == {"ieee"}
        assert switches() == mine
    finally:
        convolutions.fp32_precision = "tf32"
        torch.backends.cudnn.allow_tf32 = before


class Painter:
    """Stands in for a model whose network lies elsewhere; notes how products of float32 are taken as it paints."""

    def __init__(self) -> None:
        self.size, self.info, self.scn_generator = SIZE, {"name": "painter"}, None
        self.seen: list[Any] = []

    def synthesize(self, sketch: Tensor, *given: Any, **options: Any) -> Any:
        self.seen += switches()
        return sketch.expand(-1, 3, -1, -1), sketch


def test_faces_are_painted_and_measured_in_exact_float32_and_on_a_cpu_nothing_is_said() -> None:
    painter = Painter()
    quick = {"metrics": ["psnr"], "per_style": False, "resamples": 100}
    report = evaluate(painter, ProceduralFaces(3, SIZE), **quick)
    assert set(painter.seen) == {exact for _, _, exact in device._switches()}
    assert "device" not in report.protocol, "as in the reports before there was a choice"


def test_a_report_says_where_it_was_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda which: "A100")
    here, there = nn.Linear(1, 1), nn.Linear(1, 1, device="meta")
    models: Any = {"a": SimpleNamespace(isn_generator=here), "b": SimpleNamespace(isn_generator=there)}
    cpu, gpu = torch.device("cpu"), torch.device("cuda", 0)
    assert evaluating._devices({"a": models["a"]}, cpu) == {}
    assert evaluating._devices(models, cpu) == {"device": {"a": "cpu", "b": "meta", "LPIPS and Inception": "cpu"}}
    assert evaluating._devices({}, gpu) == {"device": "cuda:0 (A100), TF32 off"}


def test_networks_that_are_loaded_are_loaded_to_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = torch.device("meta")
    monkeypatch.setattr(measures, "chosen_device", lambda name: elsewhere)
    monkeypatch.setattr(LPIPS, "from_pretrained", LPIPS.random)
    monkeypatch.setattr(
        measures.InceptionFeatures, "from_pretrained", lambda device: SimpleNamespace(device=device, source="")
    )
    made = measures.Measures(torch.rand(3, 3, SIZE, SIZE), ["lpips", "fid"], required=True)
    assert {value.device for value in made._networks["lpips"].state_dict().values()} == {elsewhere}
    assert made._networks["inception"].device == elsewhere


def test_sketches_are_drawn_where_there_is_double_precision() -> None:
    assert drawing_device(torch.device("cuda", 1)) == torch.device("cuda", 1)
    assert drawing_device(torch.device("mps")) == torch.device("cpu")


def test_a_sketch_comes_back_to_where_its_photo_is() -> None:
    """Here both are the CPU; on a GPU a sketch is drawn in double precision, too."""
    seen: list[tuple[torch.device, torch.dtype]] = []

    def drawing(photo: Tensor, **given: Any) -> Tensor:
        seen.append((photo.device, photo.dtype))
        return torch.ones(len(photo), 1, 8, 8, dtype=photo.dtype)

    drawn = draw_frozen(drawing, torch.ones(2, 3, 8, 8), 5, device="meta", batch_size=1)
    assert seen == [(torch.device("meta"), torch.float64)] * 2
    assert torch.equal(drawn, torch.ones(2, 1, 8, 8))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_finds_the_figures_of_a_cpu() -> None:
    torch.manual_seed(0)
    model = CaliSketch(EncoderDecoder(1, 1, 8, 2), EncoderDecoder(1, 3, 8, 2, head="tanh"), SIZE)
    photos, training = ProceduralFaces(4, SIZE), ProceduralFaces(5, SIZE, seed=9)
    found = []
    for name in ("cpu", "cuda"):
        networks = {"lpips": LPIPS.random().to(name)}
        given: Any = {"metrics": ["psnr", "ssim", "lpips"], "resamples": 100, "networks": networks}
        found.append(evaluate(model.to(name, precision="fp32"), photos, training=training, device=name, **given))
    assert not found[1].differences(found[0].to_json())
    assert found[1].protocol["device"].startswith("cuda")
