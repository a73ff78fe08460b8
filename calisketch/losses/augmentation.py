"""Differentiable augmentation of what a discriminator sees (Zhao et al., NeurIPS 2020): for D on few photos.

D judges T(photo) and T(face), never the images themselves, and G learns through T: so T does not leak into the faces,
and D cannot learn a few dozen photos by heart.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..checks import check_image, check_same_shape

POLICY = ("color", "translation", "cutout")
_PAPER = 0.5  # what is shifted in or cut out: 0 in the paper's [-1, 1] images, mid grey here


class DiffAugment(nn.Module):
    """Random colour, translation and cutout: one draw for each sample. Gradients flow through.

    The random numbers come from torch's generator of the images' device. A run saves the generator's state, so a
    resumed training is exact.

    Args:
        policy: which of "color", "translation", "cutout", in this order.
        shift: the largest translation, as a share of the side.
        hole: side of the square that is cut out, as a share of the side.

    Raises:
        ValueError: another name, or a share outside [0, 1].
    """

    def __init__(self, policy: Sequence[str] = POLICY, shift: float = 0.125, hole: float = 0.5):
        super().__init__()
        unknown = sorted(set(policy) - set(POLICY))
        if unknown:
            raise ValueError(f"policy must be some of {list(POLICY)}; got {unknown}.")
        for name, share in (("shift", shift), ("hole", hole)):
            if not 0 <= share <= 1:
                raise ValueError(f"{name} must be a share of the side, in [0, 1]; got {share!r}.")
        self.policy = tuple(name for name in POLICY if name in policy)
        self.shift, self.hole = shift, hole

    def forward(self, *images: Tensor) -> list[Tensor]:
        """The same transformation of each of several batches: sample k of all gets one draw.

        Args:
            images: (B, C, H, W) in [0, 1], one or more.

        Returns:
            As many, of the same shapes; colours may leave [0, 1].

        Raises:
            ValueError: no images, or shapes that differ.
        """
        if not images:
            raise ValueError("images must be one or more batches; got none.")
        for batch in images:
            check_image(batch, None, "images", range01=False)
            check_same_shape(images[0], batch, "images[0]", "images")
        made = list(images)
        for name in self.policy:
            made = getattr(self, f"_{name}")(made)
        return made

    def _color(self, images: list[Tensor]) -> list[Tensor]:
        """Brightness by up to a quarter, saturation times [0, 2), contrast times [.5, 1.5)."""
        bright, colourful, contrasty = torch.rand(3, len(images[0]), 1, 1, 1, device=images[0].device)
        made = []
        for image in images:
            image = image + (bright - 0.5) / 2
            grey = image.mean(1, keepdim=True)
            image = torch.lerp(grey, image, (2 * colourful).to(image.dtype))
            mean = image.mean((1, 2, 3), keepdim=True)
            made.append(torch.lerp(mean, image, (contrasty + 0.5).to(image.dtype)))
        return made

    def _translation(self, images: list[Tensor]) -> list[Tensor]:
        height, width = images[0].shape[-2:]
        rows = self._shifted(len(images[0]), height, images[0].device)
        columns = self._shifted(len(images[0]), width, images[0].device)
        samples = torch.arange(len(images[0]), device=images[0].device)[:, None, None]
        # The border is padded by one line on each side, which every index beyond the image is clamped to.
        return [
            nn.functional.pad(image, (1, 1, 1, 1), value=_PAPER)
            .permute(0, 2, 3, 1)[samples, rows[:, :, None], columns[:, None, :]]
            .permute(0, 3, 1, 2)
            for image in images
        ]

    def _shifted(self, batch: int, side: int, device: torch.device) -> Tensor:
        """(B, side) places in an image padded by one line on each side."""
        most = int(side * self.shift + 0.5)
        moved = torch.randint(-most, most + 1, (batch, 1), device=device)
        return (torch.arange(side, device=device) + moved + 1).clamp(0, side + 1)

    def _cutout(self, images: list[Tensor]) -> list[Tensor]:
        height, width = images[0].shape[-2:]
        rows = self._hole(len(images[0]), height, images[0].device)
        columns = self._hole(len(images[0]), width, images[0].device)
        hole = (rows[:, :, None] & columns[:, None, :])[:, None]
        return [torch.where(hole, torch.full_like(image, _PAPER), image) for image in images]

    def _hole(self, batch: int, side: int, device: torch.device) -> Tensor:
        """(B, side): the lines of the hole, which lies partly outside now and then."""
        length = int(side * self.hole + 0.5)
        start = torch.randint(0, side + 1 - length % 2, (batch, 1), device=device) - length // 2
        place = torch.arange(side, device=device)
        return (place >= start) & (place < start + length)
