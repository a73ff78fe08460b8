"""CaliSketch: a person's sketch in, the calibrated sketch or a photo-real face out."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import torch
from PIL.Image import Image
from torch import Tensor, nn

from .boundary.answers import GROUNDS, Ground
from .boundary.colours import CHANNELS, Unpainted, beside, need_colours, takes_colours
from .boundary.images import Polarity
from .boundary.ink import Page
from .boundary.kinds import (
    AFile,
    Calibrated,
    Face,
    FaceAndRefined,
    Faces,
    File,
    Files,
    Given,
    Painted,
    Pixels,
    Several,
    Stack,
)
from .boundary.placement import Align
from .boundary.sheet import Sheets, colours_of, inks_of
from .checks import check_image
from .inference.computing import Computing, Engine, Precision, checked_device, device_of, on_device
from .inference.plans import check_seed, need_plans, planned_colours
from .networks import GENERATORS, ColourLed, PlanFlow
from .options import check_channels, check_drawing, checked_options, need_isn, need_scn
from .stage import Batch, Schedule
from .weights import folder as model_folder
from .weights.names import DEFAULT_MODEL, folder_of

if TYPE_CHECKING:
    from typing_extensions import Unpack

_CHANNELS_REMEDY = "The first network is G1 (sketch to refined sketch), the second G2 (refined sketch to face)."
_BATCH = 8  # images that go through the networks at a time, unless it is said otherwise


class CaliSketch:
    """The Stroke Calibration Network and the Image Synthesis Network, composed: S -> R -> P; or one of them alone.

    Calling it changes nothing in it: the same sketch gives the same answer, alone or in any batch (to one grey level).
    What was told of each sketch (polarity, page, where its face lies) goes to the logger "calisketch" at level INFO.

    Args:
        scn_generator: G1, (B, 1, H, W) sketch -> (B, 1, H, W) refined sketch, both [0, 1] with ink = 1; None for a
            method of one stage, such as pix2pix, which paints from the strokes as they are.
        isn_generator: G2, (B, 1, H, W) refined sketch -> (B, 3, H, W) face in [0, 1]; or one that takes colours beside
            it, (B, 5, H, W), see `calisketch.boundary.colours`; None for a model that only calibrates. Both networks
            are copied.
        size: side of the images the networks were trained on; every sketch is brought to it.
        info: anything worth keeping with the model, as JSON has it.
        plan_network: what chooses the colours that nobody gives, a `networks.PlanFlow`, beside an ISN that takes
            colours; it is copied, too. None: the ISN is left to itself there.
        precision: "fp32", "bf16", or the fastest that is safe ("auto"); `model.precision` says which it is.
        engine: what runs the networks: "eager", "compiled" or "openvino"; see `computing.Computing`.

    Raises:
        ValueError: a size below 1, no network at all, networks of other channels than 1 -> 1 and 1 or 5 -> 3; as
            `computing.Computing`; an engine that cannot compute where the networks are, such as "compiled" without a
            C++ compiler.
    """

    def __init__(
        self,
        scn_generator: nn.Module | None,
        isn_generator: nn.Module | None,
        size: int,
        info: Mapping[str, Any] | None = None,
        *,
        plan_network: nn.Module | None = None,
        precision: Precision = "auto",
        engine: Engine = "eager",
    ):
        if size < 1:
            raise ValueError(f"size must be the side of the training images, at least 1; got {size}.")
        if scn_generator is not None:
            check_channels("scn_generator", scn_generator, 1, 1, _CHANNELS_REMEDY)
        if isn_generator is not None:
            channels = 1 + CHANNELS if takes_colours(isn_generator) else 1
            check_channels("isn_generator", isn_generator, channels, 3, _CHANNELS_REMEDY)
        elif scn_generator is None:
            raise ValueError(f"a CaliSketch needs one network at least; got None twice. {_CHANNELS_REMEDY}")
        self.scn_generator = None if scn_generator is None else _for_inference(scn_generator)
        self.isn_generator = None if isn_generator is None else _for_inference(isn_generator)
        if plan_network is not None and not (isinstance(plan_network, PlanFlow) and self.takes_colours):
            raise ValueError(
                f"plan_network must be a PlanFlow beside an isn_generator that takes colours (5 channels); got a "
                f"{type(plan_network).__name__} beside {type(isn_generator).__name__}."
            )
        self.plan_network = None if plan_network is None else _for_inference(plan_network)
        self.size = int(size)
        self.info = dict(info or {})
        self._computing = Computing(self.size, precision, engine)
        self._computing.check(device_of(self._last))

    @property
    def _last(self) -> nn.Module:
        """The ISN; of a model that only calibrates the SCN."""
        return self.isn_generator if self.isn_generator is not None else need_scn(self.scn_generator, "a CaliSketch")

    @property
    def precision(self) -> str:
        """What the ISN is run in, and so the SCN unless it is of another class: "fp32" or "bf16"."""
        return self._computing.precision(self._last, device_of(self._last))

    @property
    def takes_colours(self) -> bool:
        """Whether `synthesize` may be given colours."""
        return self.isn_generator is not None and takes_colours(self.isn_generator)

    @property
    def varies(self) -> bool:
        """Whether `synthesize` has more than one face for a sketch."""
        return self.plan_network is not None

    @classmethod
    def from_pretrained(
        cls,
        model: str | os.PathLike[str] = DEFAULT_MODEL,
        device: str | torch.device | None = None,
        *,
        sha256: str | None = None,
        precision: Precision = "auto",
        engine: Engine = "eager",
    ) -> CaliSketch:
        """Load a model by the name of one that is shipped, from its folder, or from "https://HOST/FOLDER".

        sha256: of the model's config.json; needed with an address (or "#sha256=HEX" at its end), see `hub.fetch_model`.
        precision, engine: as for the class.

        Raises:
            FileNotFoundError: neither such a name nor such a folder; or a file of the folder is not there.
            DownloadError, WrongContent, ValueError: as for `hub.fetch_model`.
            ModelFolderError: the folder is not a whole model of this format.
        """
        networks, config = model_folder.load(folder_of(model, sha256), GENERATORS)
        if not networks.keys() & {"scn", "isn"} or not networks.keys() <= {"scn", "isn", "plan"}:
            raise model_folder.ModelFolderError(
                f"{model} holds the networks {sorted(networks)}; expected 'scn', 'isn' or both, and 'plan' perhaps. It "
                "is no Cali-Sketch model."
            )
        try:
            plan = networks.get("plan")
            loaded = cls(
                networks.get("scn"), networks.get("isn"), config["size"], config.get("info"), plan_network=plan
            )
        except ValueError as error:
            raise model_folder.ModelFolderError(f"{model} is no Cali-Sketch model: {error}") from error
        return loaded.to(device, precision=precision, engine=engine)

    def __repr__(self) -> str:
        return model_folder.in_words("CaliSketch", self.size, self._networks)

    @property
    def _networks(self) -> dict[str, nn.Module]:
        """Those that there are, by the names that a folder has for them."""
        named = {"scn": self.scn_generator, "isn": self.isn_generator, "plan": self.plan_network}
        return {name: network for name, network in named.items() if network is not None}

    def save_pretrained(
        self, folder: str | os.PathLike[str], *, half: bool = True, max_file_bytes: int = model_folder.LARGEST_FILE
    ) -> Path:
        """Write config.json and model.safetensors, or several (float16 unless `half=False`), to a folder; return it."""
        return model_folder.save(folder, self._networks, self.size, self.info, half=half, max_file_bytes=max_file_bytes)

    def to(
        self,
        device: str | torch.device | None = None,
        *,
        precision: Precision | None = None,
        engine: Engine | None = None,
    ) -> CaliSketch:
        """A CaliSketch of the same weights on another device, in another precision, by another engine; None: as here.

        Raises:
            ValueError: there is no such device; errors as for the class.
        """
        here = device_of(self._last) if device is None else checked_device(device)
        moved = copy.copy(self)
        moved._computing = Computing(self.size, precision or self._computing.asked, engine or self._computing.engine)
        moved._computing.check(here)
        moved.scn_generator = None if self.scn_generator is None else on_device(self.scn_generator, here)
        moved.isn_generator = None if self.isn_generator is None else on_device(self.isn_generator, here)
        moved.plan_network = None if self.plan_network is None else on_device(self.plan_network, here)
        return moved

    def led(self, lead: float) -> CaliSketch:
        """A CaliSketch of the same weights that follows given colours farther, or less far; without colours the same.

        Args:
            lead: of `networks.ColourLed`, in [0, 1); training has .5. More is for colours as fine as a photo's: flat
                ones then look flat.

        Raises:
            ValueError: another lead, or an ISN that colours do not lead.
        """
        painter = need_isn(self.isn_generator, "led")
        if not isinstance(painter, ColourLed):
            raise ValueError(f"colours lead a ColourLed ISN; this model's is a {type(painter).__name__}.")
        other = copy.copy(self)
        other.isn_generator = painter.led(lead)
        return other

    @overload
    def calibrate(self, sketch: File, strength: float | None = None, **options: Unpack[Calibrated]) -> Image: ...
    @overload
    def calibrate(self, sketch: Pixels, strength: float | None = None, **options: Unpack[Calibrated]) -> Pixels: ...
    @overload
    def calibrate(
        self, sketch: Files[AFile], strength: float | None = None, **options: Unpack[Calibrated]
    ) -> list[Image]: ...
    @overload
    def calibrate(
        self, sketch: Stack[Pixels], strength: float | None = None, **options: Unpack[Calibrated]
    ) -> list[Pixels]: ...
    @overload
    def calibrate(self, sketch: Several, strength: float | None = None, **options: Unpack[Calibrated]) -> list[Any]: ...
    def calibrate(
        self,
        sketch: Given,
        strength: float | None = None,
        *,
        thin: bool = False,
        tone: bool = False,
        ground: Ground = None,
        polarity: Polarity = "auto",
        align: Align = "auto",
        page: Page = "auto",
        batch_size: int = _BATCH,
        device: str | torch.device | None = None,
    ) -> Any:
        """The refined sketch R, or (1 - strength) S + strength R.

        Args:
            sketch: a path, a PIL image, an array (H, W) or (H, W, 1 | 3 | 4), a tensor (H, W), (C, H, W) or
                (B, C, H, W), or a list of these. uint8, uint16 or float in [0, 1]; colour counts by its luma.
            strength: 0 leaves the strokes as they are, 1 replaces them by the refined ones; None is 1, and for a model
                without an SCN, which takes no other, 0.
            thin: reduce the refined lines to their middles, one pixel wide in the model's frame.
            tone: keep what the sketch shades (hatching, filled hair, shadow) as light tone beside the refined lines,
                which would otherwise leave it out.
            ground: None draws on the sketch's own ground. "white": dark lines on white, "black": light ones on black,
                both opaque; "transparent": the lines alone, which arrays and tensors answer with four channels.
            polarity: "auto" tells dark lines on a light ground from the reverse; "dark_on_light" and "light_on_dark"
                force it.
            align: "auto" brings the face to where the model was trained to see it (by its eyes, where the detector
                finds them, else by the box its ink fills) unless it is there already; True always does; False only
                scales and pads the sheet to the square.
            page: "auto" cleans a photographed page (paper tone, uneven light, faint pencil); True and False force it.
            batch_size: how many sketches go through the networks at a time.
            device: where to compute, for this call; None: where the model is.

        Returns:
            A line drawing of the sketch's size, polarity and kind: PIL for paths and PIL ("L", or "LA" for a drawing
            with transparent parts), an array or tensor of the same shape, dtype and range otherwise; a list for a list.
            What lies outside the model's square field of view keeps the strokes it has.

        Raises:
            SketchError: an unreadable, blank or too small sketch, NaN, values out of range, an empty list.
            FileNotFoundError: a path that is not there.
            ValueError: an option that is none of its choices, or a model without an SCN.
        """
        need_scn(self.scn_generator, "calibrate")
        check_drawing(thin, tone, ground, GROUNDS)
        strength = checked_options(strength, batch_size, self.scn_generator)
        sheets = Sheets(sketch, self.size, polarity=polarity, align=align, page=page, batch_size=batch_size)
        answers = []
        for batch in sheets:
            # At strength 0 nothing of R is seen, so it is not computed.
            refined = self._refined_lines(inks_of(batch), thin, device) if strength > 0 else [None] * len(batch)
            for sheet, drawing in zip(batch, refined, strict=True):
                answers.append(sheet.drawing(drawing, strength, tone=tone, ground=ground))
        return sheets.rebuild(answers)

    @overload
    def synthesize(self, sketch: File, strength: float | None = None, **options: Unpack[Face]) -> Image: ...
    @overload
    def synthesize(self, sketch: Pixels, strength: float | None = None, **options: Unpack[Face]) -> Pixels: ...
    @overload
    def synthesize(
        self, sketch: Files[AFile], strength: float | None = None, **options: Unpack[Face]
    ) -> list[Image]: ...
    @overload
    def synthesize(
        self, sketch: Stack[Pixels], strength: float | None = None, **options: Unpack[Face]
    ) -> list[Pixels]: ...
    @overload
    def synthesize(self, sketch: Several, strength: float | None = None, **options: Unpack[Face]) -> list[Any]: ...
    @overload
    def synthesize(self, sketch: File, strength: float | None = None, **options: Unpack[Faces]) -> list[Image]: ...
    @overload
    def synthesize(self, sketch: Pixels, strength: float | None = None, **options: Unpack[Faces]) -> Pixels: ...
    @overload
    def synthesize(
        self, sketch: Files[AFile], strength: float | None = None, **options: Unpack[Faces]
    ) -> list[list[Image]]: ...
    @overload
    def synthesize(
        self, sketch: Stack[Pixels], strength: float | None = None, **options: Unpack[Faces]
    ) -> list[Pixels]: ...
    @overload
    def synthesize(self, sketch: Several, strength: float | None = None, **options: Unpack[Faces]) -> list[Any]: ...
    @overload
    def synthesize(
        self, sketch: File, strength: float | None = None, **options: Unpack[FaceAndRefined]
    ) -> tuple[Image, Image]: ...
    @overload
    def synthesize(
        self, sketch: Pixels, strength: float | None = None, **options: Unpack[FaceAndRefined]
    ) -> tuple[Pixels, Pixels]: ...
    @overload
    def synthesize(
        self, sketch: Files[AFile], strength: float | None = None, **options: Unpack[FaceAndRefined]
    ) -> tuple[list[Image], list[Image]]: ...
    @overload
    def synthesize(
        self, sketch: Stack[Pixels], strength: float | None = None, **options: Unpack[FaceAndRefined]
    ) -> tuple[list[Pixels], list[Pixels]]: ...
    @overload
    def synthesize(
        self, sketch: Several, strength: float | None = None, **options: Unpack[FaceAndRefined]
    ) -> tuple[list[Any], list[Any]]: ...
    @overload
    def synthesize(
        self,
        sketch: Given,
        strength: float | None = None,
        return_refined: bool = False,
        *,
        variants: int | None = None,
        **options: Unpack[Painted],
    ) -> Any: ...
    def synthesize(
        self,
        sketch: Given,
        strength: float | None = None,
        return_refined: bool = False,
        *,
        variants: int | None = None,
        seed: int = 0,
        colours: Given | None = None,
        unpainted: Unpainted = "auto",
        polarity: Polarity = "auto",
        align: Align = "auto",
        page: Page = "auto",
        batch_size: int = _BATCH,
        device: str | torch.device | None = None,
    ) -> Any:
        """A photo-real face P, painted from R_t = (1 - strength) S + strength R, in the given colours.

        Args, errors: as for `calibrate`.

        Args:
            return_refined: return (faces, refined): also R_t as it was painted from, hence in the model's resolution,
                in the kind and place that `calibrate` answers in.
            variants: so many faces for each sketch, for a model that has several (`varies`): of the seeds ``seed``,
                ``seed + 1`` ...; None: one face, not in a list and without an axis of its own.
            seed: 0: the likeliest face. Any other: one drawn by it, the same whenever, alone or in a batch. What is
                drawn are the colours that nobody gave; the lines stay.
            colours: for a model that takes them (`takes_colours`): a picture of flat strokes of colour that lies on the
                sketch's sheet, of any size (it is stretched to the sheet's) and of any kind that a sketch may be; one
                for every sketch, or a list of as many as there are sketches, None among them for no colours. Where it
                is not painted, and where it is None, the model chooses.
            unpainted: what of `colours` is not painted: "transparent": its parts of less than half opacity; "white":
                these and white paper (250 of 255 or more in every channel); "auto": the former where there are such
                parts, else the latter. So white paint goes on a transparent layer, or with "transparent".

        Returns:
            An RGB face of the sketch's size and kind: PIL "RGB" for paths and PIL, an (H, W, 3) array, a (3, H, W) or
            (B, 3, H, W) tensor of the same dtype and range, a list for a list. Outside the model's square field of
            view the face's edge goes on and fades to white. With ``variants`` arrays and tensors have an axis more:
            (variants, H, W, 3), (variants, 3, H, W) or (B, variants, 3, H, W); for PIL it is a list for each sketch.

        Raises:
            ValueError: colours for a model that takes none; a seed or variants that are no whole numbers in their
                bounds, or other than 0 and 1 for a model that has one face for each sketch.
            SketchError: colours that cannot be read, or not as many as sketches.
        """
        painter = need_isn(self.isn_generator, "synthesize")
        strength = checked_options(strength, batch_size, self.scn_generator)
        if colours is not None:
            need_colours(painter)
        seeds = self._seeds(seed, variants)
        sheets = Sheets(
            sketch,
            self.size,
            colours=colours,
            unpainted=unpainted,
            polarity=polarity,
            align=align,
            page=page,
            batch_size=batch_size,
        )
        faces, drawings = [], []
        for batch in sheets:
            refined = self._refined(inks_of(batch), strength, device)
            painted = [self._painted(refined, colours_of(batch), each, device) for each in seeds]
            for sheet, *several in zip(batch, *painted, strict=True):
                faces.append(sheet.face(several[0]) if variants is None else sheet.faces(several))
            if return_refined:
                drawings += [sheet.drawing(drawing) for sheet, drawing in zip(batch, refined, strict=True)]
        return (sheets.rebuild(faces), sheets.rebuild(drawings)) if return_refined else sheets.rebuild(faces)

    def from_batch(self, batch: Batch, strength: float | None = None, lead: float | None = None) -> Tensor:
        """The faces (N, 3, size, size) in [0, 1] of a batch as training has it, by which models are compared.

        Args:
            batch: with "sketch" (N, 1, size, size), ink = 1, and, where colours are given, "colours"
                (N, 4, size, size), which a model that takes none passes over. Nothing else of it is looked at.
            strength: as for `calibrate`.
            lead: as for `led`; None: the model's own.

        Raises:
            ValueError: sketches or colours of another shape; as `calibrate` and `led`.
        """
        if lead is not None:
            return self.led(lead).from_batch(batch, strength)
        need_isn(self.isn_generator, "from_batch")
        sketch, colours = batch["sketch"], batch.get("colours") if self.takes_colours else None
        check_image(sketch, 1, "sketch")
        if sketch.shape[-2:] != (self.size, self.size):
            raise ValueError(
                f"sketch must be (N, 1, {self.size}, {self.size}) for this model; got {tuple(sketch.shape)}. Prepare "
                f"photos of {self.size} px."
            )
        strength = checked_options(strength, _BATCH, self.scn_generator)
        parts = sketch.split(_BATCH)
        layers = [None] * len(parts) if colours is None else colours.split(_BATCH)
        faces = []
        for part, layer in zip(parts, layers, strict=True):
            faces.append(self._painted(self._refined(part, strength, None), layer, 0, None))
        return torch.cat(faces).to(sketch.device)

    def fit(
        self,
        photos: Any,
        *,
        schedules: Mapping[str, Schedule] | None = None,
        stages: Sequence[str] | None = None,
        contour: Callable[[Tensor], Tensor] | None = None,
        align: bool = True,
        draw: Callable[..., Tensor] | None = None,
        system: Callable[..., Any] | None = None,
        run_dir: str | os.PathLike[str] | None = None,
        quiet: bool = False,
        **settings: Any,
    ) -> CaliSketch:
        """Train on photos of faces, from this model's weights on, by the paper's Algorithm 1: SCN, ISN, joint.
        A model that takes colours is trained with colours made of the photos, and without (`sketching.ColorStrokes`).

        Args:
            photos: a folder, or a list of paths, PIL images, arrays (H, W, 3) and tensors (3, H, W). From seven on,
                every seventh is kept for validation.
            schedules: `stage.Schedule` for any of "scn", "isn", "joint"; the paper's, up to 150,000 steps in all and
                meant for a GPU, where none is given.
            stages: run only these.
            contour: (1, 3, H, W) photo -> (1, 1, H, W) contour map in [0, 1], edge = 1; HED if None.
            align: bring the photos' eyes to their canonical places, by the detector that is part of the package.
            draw: photos to human-like sketches; `sketching.styles.SketchMixture()` if None.
            system: (G1, G2, schedules) -> `systems.cali_sketch.CaliSketchSystem`, for other discriminators, losses or
                a stand-in for VGG-19; the paper's if None.
            run_dir: keeps checkpoints, curves and previews, and goes on from there if called again; None: nothing is
                kept.
            quiet: nothing on the terminal.
            settings: of `training.Engine`: batch_size, precision, seed, ema_decay, accelerator ...

        Returns:
            A new CaliSketch with the trained weights (their moving averages); this one stays as it is.

        Raises:
            ModuleNotFoundError: the extra `train` is not installed.
            calisketch.weights.MissingWeights: HED's or VGG-19's file is not there, saying how to get it.
            ValueError, SketchError, FileNotFoundError: photos or settings that make no sense, or a model without SCN.
        """
        from .fitting import fit_generators  # what only training needs is imported by training only

        trained, note = fit_generators(
            {
                "scn": need_scn(self.scn_generator, "fit, which trains both networks,"),
                "isn": need_isn(self.isn_generator, "fit, which trains both networks,"),
            },
            self.size,
            photos,
            schedules=schedules,
            stages=stages,
            contour=contour,
            align=align,
            draw=draw,
            system=system,
            run_dir=run_dir,
            quiet=quiet,
            settings=settings,
        )
        asked: dict[str, Any] = {"precision": self._computing.asked, "engine": self._computing.engine}
        asked["plan_network"] = self.plan_network
        return CaliSketch(trained["scn"], trained["isn"], self.size, {**self.info, **note}, **asked)

    def _refine(self, ink: Tensor, device: str | torch.device | None) -> Tensor:
        return self._computing.run(need_scn(self.scn_generator, "strength"), ink, device)

    def _refined_lines(self, ink: Tensor, thin: bool, device: str | torch.device | None) -> Tensor:
        refined = self._refine(ink, device)
        if not thin:
            return refined
        from .sketching.thin import thinned  # here: it takes a while to import, and few ask for it

        return thinned(refined.float().clamp(0.0, 1.0))

    def _refined(self, ink: Tensor, strength: float, device: str | torch.device | None) -> Tensor:
        """R_t of sketches in the frame (B, 1, size, size)."""
        if strength == 0:
            return ink
        return torch.lerp(ink, self._refine(ink, device).to(ink.device), float(strength))

    def _painted(self, refined: Tensor, colours: Tensor | None, seed: int, device: str | torch.device | None) -> Tensor:
        """P of R_t: (B, 3, size, size)."""
        seen = refined
        if self.takes_colours:
            if self.plan_network is not None:
                colours = planned_colours(need_plans(self.plan_network, "a face"), refined, colours, seed)
            seen = beside(refined, colours)
        return self._computing.run(need_isn(self.isn_generator, "synthesize"), seen, device)

    def _seeds(self, seed: int, variants: int | None) -> list[int]:
        """Of each face of a sketch; errors as for `synthesize`."""
        check_seed(seed, variants)
        if seed or (variants or 1) > 1:
            need_plans(self.plan_network, f"seed={seed}" if variants is None else f"variants={variants}, seed={seed}")
        return list(range(seed, seed + (variants or 1)))


@lru_cache(maxsize=1)
def _default_model() -> CaliSketch:
    return CaliSketch.from_pretrained(DEFAULT_MODEL)


class _DefaultModel(CaliSketch):
    """The default model, which is loaded when something of it is first asked for."""

    def __init__(self) -> None:
        """Nothing is loaded yet."""

    def __getattr__(self, name: str) -> Any:
        return getattr(_default_model(), name)


calibrate = _DefaultModel().calibrate
"""`CaliSketch.calibrate` of the default model, which is loaded at the first call."""
synthesize = _DefaultModel().synthesize
"""`CaliSketch.synthesize` of the default model, which is loaded at the first call."""


def _for_inference(network: nn.Module) -> nn.Module:
    return copy.deepcopy(network).eval().requires_grad_(False)
