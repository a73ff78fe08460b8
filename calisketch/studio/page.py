"""The studio's page: a sheet, panes that follow each stroke, files in and out, a batch; and the same for programs.

The sheet and the panes are `gr.HTML` components of our own (canvas.js, panes.js): Gradio's editor draws through WebGL,
which takes seconds for a stroke where there is no GPU.
"""

from __future__ import annotations

import base64
import html
import itertools
import tempfile
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from .. import __version__
from ..boundary.colours import painted
from ..boundary.images import SketchError
from ..boundary.pictures import read_picture
from ..sketching import ColorDomain
from .addresses import address_of, layer_of
from .batch import BatchError, in_lines, run_batch
from .overlay import LEGEND
from .painter import CANVAS, Painter, Panes, StrengthError, UnknownModelError, on_white, strokes_layer
from .samples import SAMPLES, button_of, sample
from .uploads import MOST_BYTES, MOST_FILES, MOST_PIXELS, UploadError, checked_picture, checked_upload
from .works import Work, WorkError, pack, unpack

REFUSED = (SketchError, UploadError, WorkError, BatchError, UnknownModelError, StrengthError, FileNotFoundError)
"""What a person can mend; its message is shown. Anything else is a fault of ours, and is told as one."""

_numbers = itertools.count(1)


def build(painter: Painter, alone: bool = True) -> gr.Blocks:
    """The page.

    Args:
        painter: what paints; the first of its models is chosen.
        alone: nobody but this computer is served, which the page tells.

    Raises:
        ValueError, OSError: as `Painter.model` where the first model cannot be loaded.
    """
    here = files(__package__)
    first = painter.names[0]
    coloured = painter.model(first).takes_colours
    with gr.Blocks(title="calisketch studio", analytics_enabled=False, delete_cache=(60, 900)) as page:
        here_or_there = (
            "Nothing leaves this computer."
            if alone
            else "What you draw or open goes to the computer that serves this page, unencrypted, and no further."
        )
        gr.Markdown(f"# calisketch studio\nDraw a face: the strokes are calibrated, then painted. {here_or_there}")
        with gr.Tab("Draw"), gr.Row(equal_height=False):
            with gr.Column(min_width=320):
                sheet = gr.HTML(
                    {"strokes": None, "colours": None},
                    html_template=(here / "canvas.html").read_text(encoding="utf-8"),
                    js_on_load=(here / "canvas.js").read_text(encoding="utf-8"),
                    elem_id="sheet",
                    incoming=None,
                    coloured=coloured,
                )
                with gr.Row(equal_height=True):
                    sketch_file = gr.UploadButton("Open a sketch", file_types=["image"], elem_id="open-sketch")
                    work_file = gr.UploadButton("Open a work (ZIP)", file_types=[".zip"], elem_id="open-work")
                    reference = gr.UploadButton(
                        "Colours of a photo", file_types=["image"], visible=coloured, elem_id="open-reference"
                    )
                gr.Markdown("Examples to start from")
                with gr.Row(elem_id="samples"):
                    examples = [gr.Button(name, size="sm", min_width=60, elem_id=button_of(name)) for name in SAMPLES]
            with gr.Column(min_width=320):
                panes = gr.HTML(
                    None,
                    html_template=(here / "panes.html").read_text(encoding="utf-8"),
                    js_on_load=(here / "panes.js").read_text(encoding="utf-8"),
                    elem_id="panes",
                    server_functions=[_packer(painter)],
                )
                strength = gr.Slider(0, 1, value=1, step=0.05, label="Strength of the calibration", elem_id="strength")
                model = gr.Dropdown(painter.names, value=first, label="Model", elem_id="model")
        with gr.Tab("Batch"):
            gr.Markdown(
                f"Up to {MOST_FILES} sketches: pictures, or ZIPs of them, of {MOST_BYTES // 2**20} MiB and "
                f"{MOST_PIXELS // 10**6} million pixels each at most."
            )
            several = gr.File(file_count="multiple", label="Sketches", elem_id="batch-files", height=180)
            start = gr.Button("Calibrate and paint all", variant="primary", elem_id="batch-start")
            said = gr.Markdown(elem_id="batch-said")
            with gr.Row():
                archive = gr.File(label="Results (ZIP)", interactive=False, elem_id="batch-archive", height=120)
                contact = gr.Image(
                    label="Contact sheet", format="png", interactive=False, elem_id="batch-sheet", type="filepath"
                )

        live: dict[str, Any] = {"show_progress": "hidden", "concurrency_limit": 1, "concurrency_id": "paint"}
        last: dict[str, Any] = {"trigger_mode": "always_last", "api_visibility": "private", **live}
        # A stroke while one is painted waits; of several only the last is painted.
        sheet.change(
            _told(lambda drawn, strength, model: _repaint(painter, drawn, strength, model)),
            [sheet, strength, model],
            panes,
            **last,
        )
        gr.on(  # A work that is opened brings its model with its drawing, which is a change: what a person chooses.
            [strength.change, model.input],
            _told(lambda drawn, strength, model: _repaint(painter, drawn, strength, model, if_drawn=True)),
            [sheet, strength, model],
            panes,
            **last,
        )
        model.change(
            _told(
                lambda name: (
                    gr.HTML(coloured=painter.model(name).takes_colours),
                    gr.UploadButton(visible=painter.model(name).takes_colours),
                )
            ),
            model,
            [sheet, reference],
            api_visibility="private",
            **live,
        )
        sketch_file.upload(
            _told(lambda path, name: _incoming(strokes=_imported(painter, path, name))),
            [sketch_file, model],
            sheet,
            api_visibility="private",
            **live,
        )
        for name, button in zip(SAMPLES, examples, strict=True):
            button.click(
                _told(lambda model, name=name: _incoming(strokes=_imported(painter, sample(name), model))),
                model,
                sheet,
                api_visibility="private",
                **live,
            )
        reference.upload(
            _told(lambda path: _incoming(colours=_reference(path))), reference, sheet, api_visibility="private", **live
        )
        work_file.upload(
            _told(lambda path: _opened(painter, path)),
            work_file,
            [sheet, strength, model],
            api_visibility="private",
            **live,
        )
        start.click(
            _batches(painter),
            [several, strength, model],
            [archive, contact, said],
            api_visibility="private",
            concurrency_limit=1,
            concurrency_id="batch",  # beside the drawing, which the painter lets in between two sketches
        )
        _for_programs(painter, first)
    return page


def _for_programs(painter: Painter, first: str) -> None:
    """/paint: a sketch as a file -> calibrated sketch, face, seconds; nobody sees these components."""
    with gr.Group(visible=False):
        sketch = gr.File(label="sketch")
        strength = gr.Number(1.0, label="strength")
        model = gr.Textbox(first, label="model")
        outputs = [gr.Image(format="png", type="pil", label=name) for name in ("refined", "face")]
        button = gr.Button()

    def paint(sketch: str, strength: float, model: str) -> tuple[Image.Image, Image.Image]:
        return painter.answer(checked_picture(checked_upload(Path(sketch))), model, strength)

    button.click(
        _told(paint), [sketch, strength, model], outputs, api_name="paint", concurrency_limit=1, concurrency_id="paint"
    )


def _told(act: Callable[..., Any]) -> Callable[..., Any]:
    """`act`, whose refusals are shown to the person."""
    from functools import wraps

    @wraps(act)
    def acting(*given: Any, **options: Any) -> Any:
        try:
            return act(*given, **options)
        except REFUSED as error:
            raise gr.Error(str(error), duration=None, print_exception=False) from error

    return acting


def _drawing(drawn: Any) -> tuple[Image.Image, Image.Image | None]:
    if not isinstance(drawn, dict):
        raise SketchError(f"the sheet must be a drawing's layers; got {type(drawn).__name__}. Reload the page.")
    strokes = layer_of(drawn.get("strokes"), "lines")
    if strokes is None:
        raise SketchError("nothing is drawn yet. Draw on the sheet, open a sketch, or take an example.")
    return on_white(strokes), layer_of(drawn.get("colours"), "colours")


def _repaint(painter: Painter, drawn: Any, strength: float, model: str, if_drawn: bool = False) -> Any:
    """What the panes show: pictures as addresses; or why there are none, which ``if_drawn`` leaves as it is."""
    number = next(_numbers)
    try:
        sketch, colours = _drawing(drawn)
        found = painter.paint(sketch, model, strength, colours)
    except SketchError as error:  # a sheet that is empty, or as good as, is no mistake
        if if_drawn:
            return gr.skip()
        return {"number": number, "said": str(error)}
    shown = {name: address_of(getattr(found, name)) for name in ("sketch", "refined", "face", "changes")}
    told = f"calibrated and painted in {1000 * found.seconds:.0f} ms by {model}"
    return {**shown, "number": number, "said": told, "legend": LEGEND, "strength": strength, "model": model}


def _packer(painter: Painter) -> Callable[..., dict[str, str]]:
    def save_work(given: Any) -> dict[str, str]:  # several arguments would come as one list
        """The work {drawn, strength, model} as a ZIP, in base64; or what is wrong."""
        try:
            drawn, strength, model = (given[name] for name in ("drawn", "strength", "model"))
            sketch, colours = _drawing(drawn)
            found = painter.paint(sketch, model, strength, colours)
            work = _work(found, colours, model, strength)
            return {"zip": base64.b64encode(pack(work)).decode("ascii")}
        except KeyError as error:
            return {"error": f"the work's {error} is missing. Reload the page."}
        except (*REFUSED, ValueError, TypeError) as error:
            return {"error": str(error)}

    return save_work


def _work(found: Panes, colours: Image.Image | None, model: str, strength: float) -> Work:
    settings = {"model": model, "strength": float(strength), "version": __version__}
    layer = None if colours is None else np.asarray(colours)
    return Work(found.sketch, found.refined, found.face, found.changes, settings, layer)


def _incoming(**layers: Image.Image | None) -> Any:
    """What the sheet is to take over: layers by name."""
    given = {name: None if layer is None else address_of(layer) for name, layer in layers.items()}
    return gr.HTML(incoming={"number": next(_numbers), **given})


def _imported(painter: Painter, path: str | Path, model: str) -> Image.Image:
    return strokes_layer(painter.imported(checked_picture(checked_upload(Path(path))), model))


def _reference(path: str | Path) -> Image.Image:
    """The colour domain of a photo as a layer, (CANVAS, CANVAS) "RGBA"."""
    import torch

    photo = checked_picture(checked_upload(Path(path))).convert("RGB").resize((CANVAS // 2, CANVAS // 2))
    values = torch.from_numpy(np.asarray(photo).copy()).permute(2, 0, 1).float() / 255
    domain = ColorDomain(colours=(5, 5), blur=(15, 15), second_blur=(3,))(values, 0)
    flat = Image.fromarray((domain.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8))
    return flat.resize((CANVAS, CANVAS), Image.Resampling.NEAREST).convert("RGBA")


def _opened(painter: Painter, path: str | Path) -> tuple[Any, float, Any]:
    """A work, back on the sheet, with its settings."""
    work = unpack(checked_upload(Path(path)).read_bytes())
    model = work.settings["model"]
    if model not in painter.names:
        raise UnknownModelError(
            f"the work is of the model {model!r}, which is not here; there are {', '.join(painter.names)}."
        )
    sketch = Image.fromarray(work.sketch)
    if sketch.size != (CANVAS, CANVAS):
        sketch = sketch.resize((CANVAS, CANVAS), Image.Resampling.LANCZOS)
    layers: dict[str, Image.Image | None] = {"strokes": strokes_layer(sketch), "colours": None}
    if work.colours is not None:
        values = painted(read_picture(work.colours, "colours"), "transparent")
        layers["colours"] = Image.fromarray((values * 255).round().astype(np.uint8)).resize(
            (CANVAS, CANVAS), Image.Resampling.NEAREST
        )
    return _incoming(**layers), work.settings["strength"], model


def _batches(painter: Painter) -> Callable[..., tuple[str, str, str]]:
    def batch(
        given: Any,
        strength: float,
        model: str,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 - by its being the default, Gradio gives one
    ) -> tuple[str, str, str]:
        try:
            return _batch(painter, given, strength, model, progress)
        except REFUSED as error:
            raise gr.Error(str(error), duration=None, print_exception=False) from error

    return batch


def _batch(painter: Painter, given: Any, strength: float, model: str, progress: Any) -> tuple[str, str, str]:
    if not given:
        raise BatchError("no sketches are given. Choose pictures or ZIPs of them first.")
    if len(given) > MOST_FILES:
        raise BatchError(
            f"{len(given)} files are given; expected at most {MOST_FILES}. Put the rest into another batch."
        )
    folder = Path(tempfile.mkdtemp(prefix="batch-"))
    paths = [checked_upload(Path(path)) for path in given]
    found = run_batch(
        paths,
        lambda image, name: painter.answer(image, model, strength),
        folder,
        lambda done, total: progress((done, total), unit="sketches"),
    )
    lines = [f"{found.done} sketches calibrated and painted."]
    lines += [f"- {line}" for line in in_lines(found.problems[:20])]
    return str(found.archive), str(found.sheet), html.escape("\n".join(lines))
