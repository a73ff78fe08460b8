"""PIRec: edges and a few flat colours in, a picture out; or a photo taken apart into both and put together again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict, overload

import torch
from numpy.typing import NDArray
from PIL.Image import Image
from torch import Tensor, nn

from ..boundary import images
from ..boundary.answers import face_in_kind
from ..boundary.drafts import Draft, frame_of, read_colours, read_edges
from ..boundary.images import SketchError, is_several, one_for_each
from ..boundary.ink import Page
from ..boundary.kinds import Computed, Drawn, File, Given, Pixels, Several
from ..boundary.pictures import Values, read_picture, to_tensor, to_values
from ..boundary.sheet import in_batches
from ..checks import check_image
from ..inference.computing import Precision, device_of
from ..options import check_batch_size, check_channels, is_number, whole_number
from ..sketching.color_domain import checked_settings, color_domain
from ..sketching.edges import REFERENCE_SIZE, canny, canny_sigma_at
from ..stage import Batch
from .one_network import OneNetwork

if TYPE_CHECKING:
    from typing_extensions import Unpack

_BATCH = 8


class TakenApart(TypedDict, total=False):
    """Of `PIRec.take_apart`."""

    sigma: float
    blur: int
    colours: int
    second_blur: int
    seed: int


class Reconstructed(Computed, TakenApart, total=False):
    """Of `PIRec.reconstruct`."""

    refine: bool | None


class PIRec(OneNetwork):
    """PI-REC's generator: edges E and colours C become a picture, G(E, C), which a second pass refines, G(E, G(E, C)).

    Calling it changes nothing in it: the same input gives the same answer, alone or in any batch (to one level of 255).

    Args:
        generator: G, (B, 1 + 3, H, W) edges and colours -> (B, 3, H, W) picture, in [0, 1], edges = 1. It is copied.
        size: side of the images it was trained on; whatever is given is scaled to it, and padded to the square.
        info: anything worth keeping with the model, as JSON has it. Where it has the "steps" of a training, without the
            phase "refinement", pictures are not refined unless it is asked for.
        precision: "fp32", "bf16", or the fastest that is safe ("auto").

    Raises:
        ValueError: a size below 1, a network of other channels than 4 -> 3, another precision.
    """

    name, method, system = "pi_rec", "PI-REC", "pi_rec"

    def __init__(
        self,
        generator: nn.Module,
        size: int,
        info: Mapping[str, Any] | None = None,
        *,
        precision: Precision = "auto",
    ):
        check_channels("generator", generator, 1 + 3, 3, "It paints: edges and RGB colours in, an RGB picture out.")
        super().__init__(generator, size, info, precision=precision)

    @property
    def refines(self) -> bool:
        """Whether pictures are refined where a call does not say: not if training stopped before that phase."""
        steps = self.info.get("steps")
        return not isinstance(steps, dict) or not steps or "refinement" in steps

    @overload
    def paint(self, edges: File, colours: Given, refine: bool | None = None, **options: Unpack[Drawn]) -> Image: ...
    @overload
    def paint(self, edges: Pixels, colours: Given, refine: bool | None = None, **options: Unpack[Drawn]) -> Pixels: ...
    @overload
    def paint(
        self, edges: Several, colours: Given, refine: bool | None = None, **options: Unpack[Drawn]
    ) -> list[Any]: ...
    def paint(
        self,
        edges: Given,
        colours: Given,
        refine: bool | None = None,
        *,
        polarity: images.Polarity = "auto",
        page: Page = "auto",
        batch_size: int = _BATCH,
        device: str | torch.device | None = None,
    ) -> Any:
        """Paint from two layers, drawn in turn or taken from a photo and edited: the lines, then the flat colours.

        Args:
            edges: a drawing, as `CaliSketch.calibrate` takes it: a path, a PIL image, an array (H, W) or
                (H, W, 1 | 3 | 4), a tensor (H, W), (C, H, W) or (B, C, H, W), or a list of these. Its strokes are
                brought to the model's size, made binary, and thinned where they are wide.
            colours: a picture, as wide and high as its drawing (another is stretched); one for all drawings, or a list
                or (B, C, H, W) tensor of as many. Its transparent parts count as white.
            refine: whether a second pass refines the first one's picture; None: if the model was trained for it.
            polarity, page: of the drawing, as for `CaliSketch.calibrate`.
            batch_size: how many go through the network at a time.
            device: where to compute, for this call; None: where the model is.

        Returns:
            An RGB picture of the drawing's size and kind: PIL "RGB" for paths and PIL, an (H, W, 3) array, a (3, H, W)
            or (B, 3, H, W) tensor of the same dtype and range, a list for a list.

        Raises:
            SketchError: an unreadable, blank or too small drawing, NaN, values out of range, an empty list, another
                number of colours than of drawings.
            FileNotFoundError: a path that is not there.
            ValueError: an option that is none of its choices.
        """
        items, rebuild = images.flatten(edges, "edges")
        layers = one_for_each(colours, len(items), "colours")
        batch_size = _checked_options(refine, batch_size)

        def drafts() -> Iterator[Draft]:
            for (drawing, name), (picture, its_name) in zip(items, layers, strict=True):
                sketch, frame, drawn = read_edges(drawing, name, self.size, polarity, page)
                yield Draft(sketch.kind, frame, drawn, read_colours(picture, its_name, frame))

        painted = self._painted(drafts(), refine, batch_size, device)
        return rebuild([face_in_kind(draft.kind, rgb) for draft, rgb in painted])

    @overload
    def reconstruct(self, photo: File, **options: Unpack[Reconstructed]) -> Image: ...
    @overload
    def reconstruct(self, photo: Pixels, **options: Unpack[Reconstructed]) -> Pixels: ...
    @overload
    def reconstruct(self, photo: Several, **options: Unpack[Reconstructed]) -> list[Any]: ...
    def reconstruct(
        self,
        photo: Given,
        *,
        sigma: float = 3.0,
        blur: int = 25,
        colours: int = 3,
        second_blur: int = 3,
        seed: int = 0,
        refine: bool | None = None,
        batch_size: int = _BATCH,
        device: str | torch.device | None = None,
    ) -> Any:
        """A photo reduced to its edges and a few flat colours, and painted from these alone.

        Args:
            photo: a path, a PIL image, an array (H, W) or (H, W, 1 | 3 | 4), a tensor (C, H, W) or (B, C, H, W), or a
                list of these. Between two kinds of pictures of similar content, photos and paintings of faces, say,
                this translates from the one to the kind that the model was trained on.
            sigma, blur, colours, second_blur, seed: as for `take_apart`. Larger sigma and blur and fewer colours give
                the model less to go by.
            refine, batch_size, device: as for `paint`.

        Returns:
            RGB pictures of the photos' sizes and kinds, as `paint` gives them.

        Raises:
            SketchError, FileNotFoundError: as for `paint`.
            ValueError: an option that is out of its range.
        """
        batch_size = _checked_options(refine, batch_size)
        reading = Reading.of(self.size, sigma, blur, colours, second_blur, seed)
        items, rebuild = images.flatten(photo, "photo")
        drafts = (self._apart(given, name, reading) for given, name in items)
        painted = self._painted(drafts, refine, batch_size, device)
        return rebuild([face_in_kind(draft.kind, rgb) for draft, rgb in painted])

    @overload
    def take_apart(self, photo: File, **options: Unpack[TakenApart]) -> tuple[Image, Image]: ...
    @overload
    def take_apart(self, photo: Pixels, **options: Unpack[TakenApart]) -> tuple[Pixels, Pixels]: ...
    @overload
    def take_apart(self, photo: Several, **options: Unpack[TakenApart]) -> tuple[list[Any], list[Any]]: ...
    def take_apart(
        self,
        photo: Given,
        *,
        sigma: float = 3.0,
        blur: int = 25,
        colours: int = 3,
        second_blur: int = 3,
        seed: int = 0,
    ) -> tuple[Any, Any]:
        """The two layers that `reconstruct` paints from, to be edited and handed to `paint`.

        Args:
            photo: as for `reconstruct`.
            sigma: of Canny, in pixels of a 256 pixel image, which is the most it may be.
            blur, colours, second_blur, seed: of the colour domain, see `sketching.color_domain`.

        Returns:
            Edges, dark on white in all three channels, and colours: both RGB, in the model's resolution, but of the
            photo's size and kind.

        Raises:
            SketchError, FileNotFoundError, ValueError: as for `reconstruct`.
        """
        reading = Reading.of(self.size, sigma, blur, colours, second_blur, seed)
        items, rebuild = images.flatten(photo, "photo")
        drawings, flats = [], []
        for given, name in items:
            draft = self._apart(given, name, reading)
            lines = to_values(1 - draft.edges.expand(3, -1, -1))
            drawings.append(face_in_kind(draft.kind, draft.frame.back(lines)))
            flats.append(face_in_kind(draft.kind, draft.frame.back(to_values(draft.colours))))
        return rebuild(drawings), rebuild(flats)

    @overload
    def interpolate(
        self,
        edges: File,
        colours_a: Given,
        colours_b: Given,
        n: int = 5,
        refine: bool | None = None,
        **options: Unpack[Drawn],
    ) -> list[Image]: ...
    @overload
    def interpolate(
        self,
        edges: Pixels,
        colours_a: Given,
        colours_b: Given,
        n: int = 5,
        refine: bool | None = None,
        **options: Unpack[Drawn],
    ) -> list[Pixels]: ...
    def interpolate(
        self,
        edges: File | NDArray[Any] | Tensor,
        colours_a: Given,
        colours_b: Given,
        n: int = 5,
        refine: bool | None = None,
        *,
        polarity: images.Polarity = "auto",
        page: Page = "auto",
        batch_size: int = _BATCH,
        device: str | torch.device | None = None,
    ) -> list[Any]:
        """One drawing in colours that go over from one picture's to another's (the paper's Figure 9).

        Args:
            edges: one drawing. colours_a, colours_b: one picture each. All as for `paint`.
            n: how many pictures, the first in `colours_a` and the last in `colours_b`, at even distances.
            refine, polarity, page, batch_size, device: as for `paint`.

        Returns:
            n pictures as `paint` gives them.

        Raises:
            SketchError, FileNotFoundError: as for `paint`; more than one drawing.
            ValueError: n below 2, and as for `paint`.
        """
        n = whole_number("n", n, 2, remedy="Both ends are pictures.")
        batch_size = _checked_options(refine, batch_size)
        for name, given in (("edges", edges), ("colours_a", colours_a), ("colours_b", colours_b)):
            if is_several(given):
                raise SketchError(f"{name} must be a single picture; got several. Call interpolate for each of them.")
        sketch, frame, drawn = read_edges(edges, "edges", self.size, polarity, page)
        first = read_colours(colours_a, "colours_a", frame)
        last = read_colours(colours_b, "colours_b", frame)
        shares = [step / (n - 1) for step in range(n)]
        between = (Draft(sketch.kind, frame, drawn, torch.lerp(first, last, share)) for share in shares)
        return [face_in_kind(sketch.kind, rgb) for _, rgb in self._painted(between, refine, batch_size, device)]

    @torch.no_grad()
    def from_batch(self, batch: Batch, refine: bool | None = None) -> Tensor:
        """The model's answer to a batch as training has it, in single precision: for measuring.

        Args:
            batch: ``sketch`` (B, 1, H, W), edges = 1, and ``colours`` (B, 3, H, W), both in [0, 1].
            refine: as for `paint`.

        Returns:
            (B, 3, H, W) in [0, 1], on the model's device.
        """
        _checked_options(refine, 1)
        here = device_of(self.generator)
        edges, colours = batch["sketch"].to(here), batch["colours"].to(here)
        check_image(edges, 1, "sketch")
        check_image(colours, 3, "colours")
        for _ in range(1 + self._refined(refine)):
            colours = self.generator(torch.cat([edges, colours], dim=1))
        return colours.clamp(0, 1)

    def _refined(self, refine: bool | None) -> bool:
        return self.refines if refine is None else refine

    def _apart(self, photo: Any, name: str, reading: Reading) -> Draft:
        picture = read_picture(photo, name)
        frame = frame_of(picture.rgb, self.size)
        placed = to_tensor(frame.bring_in(picture.over_white())).clamp(0, 1)
        drawn = canny(placed[None], sigma=canny_sigma_at(self.size, reading.sigma))[0]
        flat = color_domain(placed, **reading.of_colours)
        return Draft(picture.kind, frame, drawn, flat)

    def _painted(
        self, drafts: Iterator[Draft], refine: bool | None, batch_size: int, device: str | torch.device | None
    ) -> Iterator[tuple[Draft, Values]]:
        """Each with its picture, (H, W, 3) of its own size; `batch_size` of them in memory at a time, at most."""
        for batch in in_batches(drafts, batch_size, lambda each: each.pixels):
            edges, colours = (
                torch.stack([draft.edges for draft in batch]),
                torch.stack([draft.colours for draft in batch]),
            )
            for _ in range(1 + self._refined(refine)):
                given = torch.cat([edges.to(colours.device), colours], dim=1)
                colours = self._computing.run(self.generator, given, device)
            for draft, picture in zip(batch, colours, strict=True):
                yield draft, draft.frame.back(to_values(picture))


@dataclass(frozen=True)
class Reading:
    """How photos are taken apart; `PIRec.take_apart` says what each setting is.

    Attributes:
        sigma: of Canny.
        of_colours: what `sketching.color_domain` is told.
    """

    sigma: float
    of_colours: dict[str, int]

    @classmethod
    def of(cls, size: int, sigma: Any, blur: Any, colours: Any, second_blur: Any, seed: Any) -> Reading:
        """The settings checked, for a model of this size.

        Raises:
            ValueError: one that is no number of its kind, or out of its range.
        """
        if not is_number(sigma) or not 0 < sigma <= REFERENCE_SIZE:
            raise ValueError(
                f"sigma must be a number above 0, at most {REFERENCE_SIZE}, where nothing is left of a photo; "
                f"got {sigma!r}. 3 is the paper's."
            )
        return cls(float(sigma), checked_settings(size, blur=blur, colours=colours, second_blur=second_blur, seed=seed))


def colours_themselves(batch: Batch) -> Tensor:
    """The colour domain of a batch as it is, (B, 3, H, W): what a comparison holds beside what is painted from it."""
    return batch["colours"]


def _checked_options(refine: bool | None, batch_size: int) -> int:
    """The batch size, as Python's own number."""
    if refine not in (None, True, False):
        raise ValueError(f"refine must be True, False or None; got {refine!r}.")
    return check_batch_size(batch_size)
