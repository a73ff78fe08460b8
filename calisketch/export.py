"""A model as ONNX files: SCN, ISN, and the two joined, compared with the model in ONNX Runtime before they are kept.

Each takes ink of the model's side, as `CaliSketch` makes it of a sketch: (B, 1, side, side), float32 in [0, 1], ink = 1
on paper = 0, of any batch size; a model that takes colours takes them as one more input, (B, 4, side, side), all zeros
for none (`calisketch.boundary.colours`). What a reader of a file needs to know is in its metadata. To run a model by
OpenVINO with pictures in and out, `CaliSketch.from_pretrained(..., engine="openvino")` needs no export.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from . import __version__, pipeline
from .boundary.colours import CHANNELS
from .inference.computing import Framed, on_device
from .inference.onnx_graph import OPSET, need_extra, onnxruntime_run, to_onnx
from .inference.rewriting import for_inference
from .weights import folder as model_folder
from .weights import names as model_names
from .whole_files import written_whole

TOLERANCE = 2e-4
"""How far any value of a file's answer may be from the model's, of [0, 1]: a twentieth of a grey level."""

_PARITY_BATCHES = (1, 3)
_STRENGTH = "strength"  # the joined graph's second input
_COLOURS = "colours"  # the last one of a graph that paints, where the model takes them


class ParityError(RuntimeError):
    """An exported file does not compute what the model computes; it was not kept."""


class Joined(nn.Module):
    """S -> R -> P: (B, 1, side, side) ink and (1,) strength -> face (B, 3, side, side), drawing R_t that it is of."""

    def __init__(self, scn: nn.Module, isn: nn.Module):
        super().__init__()
        self.scn, self.isn = scn, isn

    def forward(self, sketch: Tensor, strength: Tensor, colours: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """R_t = (1 - t) S + t R; the face is painted from it, and from colours where the model takes them."""
        refined = sketch + strength * (self.scn(sketch) - sketch)
        return self.isn(refined) if colours is None else self.isn(refined, colours), refined


class Coloured(nn.Module):
    """R, colours -> P: a network that takes both as one, as a graph of two inputs."""

    def __init__(self, isn: nn.Module):
        super().__init__()
        self.isn = isn

    def forward(self, refined: Tensor, colours: Tensor) -> Tensor:
        """(B, 1, side, side) and (B, 4, side, side) -> (B, 3, side, side)."""
        answer: Tensor = self.isn(torch.cat([refined, colours], dim=1))
        return answer


def export_folder(model: str | os.PathLike[str], folder: str | os.PathLike[str]) -> dict[str, Path]:
    """`export` of a shipped model's name, a model folder or an address; its files' hashes go into the metadata.

    Raises:
        as `CaliSketch.from_pretrained` and `export`.
    """
    need_extra(("onnx", "onnxscript", "onnxruntime"))
    source = model_names.folder_of(model)
    loaded = pipeline.CaliSketch.from_pretrained(source, precision="fp32")
    recorded = model_folder.read_config(source).get("sha256", {})
    return export(loaded, folder, {name: digest for name, digest in recorded.items() if name != "networks"})


def export(
    model: pipeline.CaliSketch, folder: str | os.PathLike[str], sha256: Mapping[str, str] | None = None
) -> dict[str, Path]:
    """Write scn.onnx, isn.onnx and cali_sketch.onnx; for a model of one network its own file alone.

    Operator set 18, float32, whatever precision the model runs in. A file gets its name when its answers for one and
    for three sketches, and for strengths 1 and .5, are the model's to `TOLERANCE` in ONNX Runtime.

    Args:
        model: on any device.
        folder: made if it is not there; files of these names are replaced.
        sha256: of the model's files, for the metadata.

    Returns:
        The files by name: "scn", "isn", "cali_sketch".

    Raises:
        ModuleNotFoundError: the extra `export` is not installed.
        ParityError: a graph computes something else than the model.
        OSError: the folder cannot be written to.
    """
    need_extra(("onnx", "onnxscript", "onnxruntime"))
    side = model.size
    ink = torch.zeros(2, 1, side, side)
    colours: dict[str, Tensor] = {}
    isn = None if model.isn_generator is None else _framed(model.isn_generator, side)  # as it is, and as exported
    if isn is not None and model.takes_colours:
        isn, colours = (Coloured(isn[0]), Coloured(isn[1])), {_COLOURS: torch.zeros(2, CHANNELS, side, side)}
    graphs: dict[str, tuple[tuple[nn.Module, nn.Module], dict[str, Tensor], list[str]]] = {}
    scn = None if model.scn_generator is None else _framed(model.scn_generator, side)
    if scn is not None:
        graphs["scn"] = scn, {"sketch": ink}, ["refined"]
    if isn is not None:
        graphs["isn"] = isn, {"refined": ink, **colours}, ["face"]
    if scn is not None and isn is not None:
        joined = Joined(scn[0], isn[0]), Joined(scn[1], isn[1])
        graphs["cali_sketch"] = joined, {"sketch": ink, _STRENGTH: torch.ones(1), **colours}, ["face", "refined"]
    Path(folder).mkdir(parents=True, exist_ok=True)
    written = {}
    for name, ((plain, quick), examples, outputs) in graphs.items():
        graph = to_onnx(quick, examples, outputs, [each for each in examples if each != _STRENGTH])
        _describe(graph, name, side, sha256 or {})
        data = graph.SerializeToString()
        check_parity(plain, onnxruntime_run(data), list(examples), side, name)
        written[name] = Path(folder) / f"{name}.onnx"
        with written_whole(written[name], sync=True) as aside:
            aside.write_bytes(data)
    return written


def check_parity(
    module: nn.Module, run: Callable[..., list[NDArray[np.float32]]], inputs: list[str], side: int, name: str
) -> None:
    """Compares a graph's answers for seeded line drawings with a module's.

    Args:
        module: what it must compute, in PyTorch.
        run: named arrays -> outputs, as `onnx_graph.onnxruntime_run` gives it.
        inputs: names of the inputs; the first is ink, "strength" and "colours" may follow.
        side: of the images.
        name: for the message.

    Raises:
        ParityError: with the largest difference.
    """
    generator = torch.Generator().manual_seed(0)
    for batch in _PARITY_BATCHES:
        drawn = torch.rand(batch, 1, side, side, generator=generator)
        values = [(drawn > 0.9).float() * drawn]
        if _STRENGTH in inputs:
            values.append(torch.tensor([1.0 if batch == 1 else 0.5]))
        if _COLOURS in inputs:
            given = (torch.rand(batch, 1, side, side, generator=generator) > 0.3).float()
            values.append(torch.cat([torch.rand(batch, 3, side, side, generator=generator) * given, given], dim=1))
        with torch.inference_mode():
            answer = module(*values)
        expected = answer if isinstance(answer, tuple) else (answer,)
        got = run(**{key: value.numpy() for key, value in zip(inputs, values, strict=True)})
        off = max(float(np.abs(one - other.numpy()).max()) for one, other in zip(got, expected, strict=True))
        if not off <= TOLERANCE:  # NaN fails too
            raise ParityError(
                f"{name}.onnx differs from the model by {off:.2g} for {batch} sketches; expected at most {TOLERANCE}. "
                "It was not written. Try other versions of onnxruntime and onnxscript, and report it."
            )


def _framed(network: nn.Module, side: int) -> tuple[nn.Module, nn.Module]:
    """The network as it is, and in the form that is exported."""
    network = on_device(network, torch.device("cpu"))
    return Framed(network, side), Framed(for_inference(network), side)


def _describe(graph: Any, name: str, side: int, sha256: Mapping[str, str]) -> None:
    """What a reader needs, as the graph's metadata."""
    notes = {
        "made_by": f"calisketch {__version__}",
        "model": name,
        "size": str(side),
        "range": "[0, 1]",
        "ink": "1 on paper 0: a drawing of dark lines on white is handed in inverted",
        "face": "RGB",
        "opset": str(OPSET),
        "weights_sha256": json.dumps(dict(sha256), sort_keys=True),
    }
    if any(each.name == _COLOURS for each in graph.graph.input):
        notes[_COLOURS] = "RGB where a colour is given and 0 elsewhere, then 1 where one is given; all 0: none"
    for key, value in notes.items():
        entry = graph.metadata_props.add()
        entry.key, entry.value = key, value
