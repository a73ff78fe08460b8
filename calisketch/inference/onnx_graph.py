"""A network as an ONNX graph, and its runs in ONNX Runtime and OpenVINO: what the extra `export` brings.

Graphs are of operator set 18, float32, with a free batch size and a fixed side. Nothing is sent anywhere: OpenVINO's
package reports its import to its makers unless it is kept from it, which it is here.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import logging
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .. import remedies

OPSET = 18
PACKAGES = ("onnx", "onnxscript", "onnxruntime", "openvino")
_REPORTER = "openvino_telemetry"


def need_extra(packages: Sequence[str] = PACKAGES) -> None:
    """Raises ModuleNotFoundError, with the line that installs them, where packages of the extra are missing."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise ModuleNotFoundError(
            f"this needs {', '.join(missing)}, which is not installed. Install the extra export: "
            f"{remedies.install('export')}",
            name=missing[0],
        )


def to_onnx(module: nn.Module, examples: dict[str, Tensor], outputs: Sequence[str], free: Sequence[str]) -> Any:
    """A module as an `onnx.ModelProto`.

    Args:
        module: in eval mode; its forward takes the examples in their order.
        examples: inputs by name, with a batch of at least 2 where the batch is free.
        outputs: their names.
        free: the inputs whose first axis is the batch, of any size.

    Raises:
        ModuleNotFoundError: the extra `export` is not installed.
    """
    need_extra(("onnx", "onnxscript"))
    batch = torch.export.Dim("batch")
    shapes = tuple({0: batch} if name in free else None for name in examples)
    with _quiet(), torch.inference_mode(False), torch.no_grad():
        program = torch.onnx.export(
            module,
            tuple(examples.values()),
            dynamo=True,
            opset_version=OPSET,
            input_names=list(examples),
            output_names=list(outputs),
            dynamic_shapes=shapes,
            verbose=False,
        )
    assert program is not None  # it is for dynamo=True
    return program.model_proto


def onnxruntime_run(model: bytes, threads: int | None = None) -> Callable[..., list[NDArray[np.float32]]]:
    """Runs a graph in ONNX Runtime on the CPU: named arrays in, its outputs out. threads: of PyTorch's if None."""
    need_extra(("onnxruntime",))
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or torch.get_num_threads()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda **inputs: session.run(None, inputs)


def openvino_run(module: nn.Module, side: int, precision: str, channels: int = 1) -> Callable[[Tensor], Tensor]:
    """Runs a module in OpenVINO on the CPU: (1, channels, side, side) float32 -> its answer.

    Args:
        module: as `computing.Framed`.
        side: of the images.
        precision: "bf16" or "fp32". OpenVINO computes in bfloat16 only where the CPU can, whatever it is asked.
    """
    openvino = import_openvino()
    graph = to_onnx(module, {"ink": torch.zeros(2, channels, side, side)}, ["image"], ["ink"])
    core = openvino.Core()
    model = core.read_model(graph.SerializeToString())
    model.reshape([1, channels, side, side])
    settings = {
        "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "PERFORMANCE_HINT": "LATENCY",
    }
    request = core.compile_model(model, "CPU", settings).create_infer_request()
    alone = threading.Lock()

    def run(ink: Tensor) -> Tensor:
        with alone:  # a request holds its inputs and outputs
            request.infer([np.ascontiguousarray(ink.numpy())])
            return torch.from_numpy(request.get_output_tensor(0).data.copy())

    return run


def import_openvino() -> ModuleType:
    """OpenVINO's package without its reporter.

    On import it counts itself with a web service and writes an identity below the home folder, unless its package
    `openvino_telemetry` cannot be imported.
    """
    need_extra(("openvino",))
    if "openvino" in sys.modules:
        return sys.modules["openvino"]
    hidden = _REPORTER not in sys.modules
    if hidden:
        sys.modules[_REPORTER] = None  # type: ignore[assignment]
    try:
        return importlib.import_module("openvino")
    finally:
        if hidden:
            del sys.modules[_REPORTER]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter's own steps, and its advice on packages it does without, are nothing for the user."""
    loggers = [logging.getLogger(name) for name in ("onnxscript", "onnx_ir", "torch.onnx")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
