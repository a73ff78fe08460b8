"""ONNX files and OpenVINO compute what the model computes."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from calisketch import CaliSketch, remedies
from calisketch.__main__ import main
from calisketch.export import TOLERANCE, ParityError, export, export_folder
from calisketch.inference.onnx_graph import OPSET
from calisketch.networks import EncoderDecoder

SIDE = 42  # no side that the network takes: the graph pads and cuts
EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "man-few-lines.png"


def there(*packages: str) -> None:
    for package in packages:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"needs {package} (the extra export)")


def network(channels: int, head: str) -> EncoderDecoder:
    made = EncoderDecoder(1, channels, 4, 1, head=head).eval().requires_grad_(False)
    for part in made.modules():
        if isinstance(part, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(part.weight)
    return made


@pytest.fixture(scope="module")
def model() -> CaliSketch:
    torch.manual_seed(0)
    return CaliSketch(network(1, "sigmoid"), network(3, "tanh"), SIDE)


@pytest.fixture(scope="module")
def files(model: CaliSketch, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    there("onnx", "onnxscript", "onnxruntime")
    source = model.save_pretrained(tmp_path_factory.mktemp("model"), half=False)
    return export_folder(source, tmp_path_factory.mktemp("onnx") / "new")


def answers(path: Path, **inputs: Any) -> list[np.ndarray]:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {name: np.asarray(value, np.float32) for name, value in inputs.items()})


@pytest.mark.parametrize("batch", [1, 3])
def test_each_file_answers_as_the_model_does(files: dict[str, Path], model: CaliSketch, batch: int) -> None:
    ink = (torch.rand(batch, 1, SIDE, SIDE) > 0.8).float()
    paper = 1 - ink
    drawing = model.calibrate(paper, align=False, page=False, polarity="dark_on_light")
    refined = answers(files["scn"], sketch=ink)[0]
    np.testing.assert_allclose(refined, 1 - drawing.numpy(), atol=TOLERANCE)
    for strength in (0.0, 0.3, 1.0):
        face = model.synthesize(paper, strength, align=False, page=False, polarity="dark_on_light")
        joined, of = answers(files["cali_sketch"], sketch=ink, strength=[strength])
        np.testing.assert_allclose(joined, face.numpy(), atol=TOLERANCE)
        np.testing.assert_allclose(answers(files["isn"], refined=of)[0], joined, atol=TOLERANCE)


def test_a_file_says_what_it_takes_and_which_weights_it_has(files: dict[str, Path]) -> None:
    import onnx

    graph = onnx.load(files["cali_sketch"])
    onnx.checker.check_model(graph, full_check=True)
    notes = {entry.key: entry.value for entry in graph.metadata_props}
    assert (notes["size"], notes["range"], notes["model"]) == (str(SIDE), "[0, 1]", "cali_sketch")
    assert notes["made_by"].startswith("calisketch ")
    assert len(json.loads(notes["weights_sha256"])["model.safetensors"]) == 64
    assert [each.version for each in graph.opset_import if not each.domain] == [OPSET]
    axes = graph.graph.input[0].type.tensor_type.shape.dim
    assert axes[0].dim_param
    assert [axis.dim_value for axis in axes[1:]] == [1, SIDE, SIDE]
    assert sorted(path.name for path in files["scn"].parent.iterdir()) == ["cali_sketch.onnx", "isn.onnx", "scn.onnx"]


def test_a_graph_that_computes_something_else_is_not_kept(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnx

    from calisketch import export as module

    monkeypatch.setattr(module, "to_onnx", lambda *given: onnx.load(files["isn"]))
    (tmp_path / "isn.onnx").write_bytes(b"an earlier one")
    torch.manual_seed(5)
    alone = CaliSketch(None, network(3, "tanh"), SIDE)
    with pytest.raises(ParityError, match=r"isn.onnx differs from the model by 0\.\d+ for 1 sketches"):
        export(alone, tmp_path)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("isn.onnx", b"an earlier one")]


def test_a_missing_package_is_named_with_the_line_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = importlib.util.find_spec
    hidden = {"onnx", "openvino"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name in hidden else found(name, *rest))
    assert main(["export", "cuhk-small-256", str(tmp_path / "out")]) == 2
    assert "needs onnx" in (said := capsys.readouterr().err)
    assert remedies.install("export") in said
    assert not (tmp_path / "out").exists()
    with pytest.raises(ModuleNotFoundError, match="openvino, which is not installed"):
        CaliSketch(None, network(3, "tanh"), SIDE, engine="openvino")


def test_a_model_that_is_not_there_is_said_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    there("onnx", "onnxscript", "onnxruntime")
    assert main(["export", "nothing-of-this-name", "out"]) == 2
    assert "no model 'nothing-of-this-name'" in capsys.readouterr().err


def test_openvino_answers_as_the_model_does(model: CaliSketch) -> None:
    there("onnx", "onnxscript", "openvino")
    quick = CaliSketch(None, model.isn_generator, SIDE, engine="openvino", precision="fp32")
    plain = CaliSketch(None, model.isn_generator, SIDE)
    sketches = [EXAMPLE, EXAMPLE]
    for one, other in zip(quick.synthesize(sketches), plain.synthesize(sketches), strict=True):
        assert np.abs(np.asarray(one).astype(int) - np.asarray(other)).max() <= 1


def test_importing_openvino_reports_to_nobody(tmp_path: Path) -> None:
    there("openvino")
    script = (
        "import sys\n"
        "from calisketch.inference.onnx_graph import import_openvino\n"
        "import_openvino().Core()\n"
        "assert 'openvino_telemetry' not in sys.modules\n"
    )
    environment = {"HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == [], "it would write an identity there"
