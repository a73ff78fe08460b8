"""R1: the discriminator's gradient at real images is kept small (Mescheder et al., ICML 2018, Eq. 9)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def r1_penalty(logits: Sequence[Tensor], images: Tensor) -> Tensor:
    """1/2 E ||grad_x D(x)||^2, D(x) being the mean over elements, averaged over scales.

    Args:
        logits: the discriminator's logits on `images`, one (B, 1 or C, h, w) tensor for each scale.
        images: (B, C, H, W), real, with requires_grad; what D was applied to.

    Returns:
        A scalar whose gradient reaches D's weights.

    Raises:
        ValueError: no scales, or images that the logits do not depend on.
    """
    if isinstance(logits, Tensor) or len(logits) == 0:
        raise ValueError("logits must be a sequence of tensors, one for each scale. Wrap a single one: [logits].")
    if not images.requires_grad:
        raise ValueError("images must require a gradient before D is applied to them: images.requires_grad_(True).")
    score = torch.stack([scale.float().mean((1, 2, 3)).sum() for scale in logits]).mean()
    (gradient,) = torch.autograd.grad(score, images, create_graph=True)
    return gradient.float().square().sum((1, 2, 3)).mean() / 2
