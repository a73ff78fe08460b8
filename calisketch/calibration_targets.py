"""What R may be drawn towards: edge maps of the photo, and what follows from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor

from .checks import check_positive
from .sketching.thin import thinned
from .stage import Batch

__all__ = ["TARGETS", "checked_targets", "target_map"]

TARGETS: dict[str, Callable[[Batch], Tensor]] = {
    "hed": lambda batch: batch["contour"],
    "canny": lambda batch: batch["detail"],
    # Canny (*) HED: those of Canny's lines that HED has. Of a moved photo Canny's map is interpolated: 0 and 1 again.
    "product": lambda batch: (batch["detail"] >= 0.5) * batch["contour"],
    "thin_hed": lambda batch: thinned(batch["contour"]),
}
"""Name -> how it is made of a batch with ``contour`` (HED) and ``detail`` (Canny), (B, 1, H, W) each, edge = 1.

The paper's figures show the product, and its Table 2 (precision .9962, recall .4772) is what the product scores against
Canny; its Eq. 4 draws R towards HED and Canny instead, and nothing in that prefers lines that both have.
"""


def target_map(name: str, batch: Batch) -> Tensor:
    """A target by its name, (B, 1, H, W) in [0, 1], edge = 1; none that the batch does not have is looked at."""
    return TARGETS[name](batch)


def checked_targets(targets: Mapping[str, float]) -> dict[str, float]:
    """The targets that have a weight, in the order of `TARGETS`.

    Raises:
        ValueError: a name that is none of them, a negative weight, or no weight at all.
    """
    if unknown := sorted(set(targets) - set(TARGETS)):
        raise ValueError(f"targets must be some of {', '.join(TARGETS)}; got {', '.join(map(str, unknown))}.")
    for name, weight in targets.items():
        check_positive(f"targets.{name}", weight, zero=True)
    chosen = {name: float(targets[name]) for name in TARGETS if targets.get(name)}
    if not chosen:
        raise ValueError(f"targets must give one of {', '.join(TARGETS)} a weight above 0; got {dict(targets)}.")
    return chosen
