"""How near painted faces come to people that a model may know from its training: the report's mistaken identities."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...datasets.reading.prepared_photos import PreparedPhotos
from ..measures.identity import FaceIdentity

__all__ = ["NearestPerson", "photos"]


class NearestPerson:
    """A row's figure: the cosine between a face and the nearest of certain people, by ArcFace; lower is less mistaken.

    Args:
        root: a prepared folder of these people's photos.
        split: which of them.
        network: what embeds faces; `FaceIdentity.from_pretrained()` if None, when first asked.

    Raises:
        ValueError: no folder; ValueError, OSError as `PreparedPhotos`; weights.MissingWeights when first asked.
    """

    higher_is_better = False

    def __init__(self, root: str | Path | None, split: str = "train", network: FaceIdentity | None = None) -> None:
        if root is None:
            raise ValueError(
                "NearestPerson needs root, a prepared folder of the people in training. Give people=FOLDER."
            )
        self.photos = PreparedPhotos(root, split)
        self._network = network
        self.says = f"cosine of ArcFace embeddings to the nearest of the {len(self.photos)} {split} photos; mean"

    @cached_property
    def _known(self) -> tuple[FaceIdentity, Any]:
        network = self._network or FaceIdentity.from_pretrained()
        return network, network.embed(torch.stack([self.photos[place]["photo"] for place in range(len(self.photos))]))

    def __call__(self, batch: dict[str, Tensor], made: Tensor) -> Tensor:
        """(B,), in [-1, 1]; a face is aligned by its true photo's points."""
        network, gallery = self._known
        faces = network.embed(made, network.points(batch["photo"]))
        return torch.from_numpy((faces @ gallery.T).max(1))


def photos(batch: dict[str, Tensor]) -> Tensor:
    """A row's ``paint`` that shows where a figure stands: the true photos."""
    return batch["photo"]
