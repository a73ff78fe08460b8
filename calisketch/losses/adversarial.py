"""Adversarial losses on a discriminator's logits.

Least squares (Eq. 3; Mao et al. 2017), with a = 0 (fake), b = 1 (real), c = 1 (what G wants); the first GAN's
cross-entropy (Goodfellow et al. 2014), "vanilla", as pix2pix uses it; and the hinge loss, which SN-PatchGAN came with.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def lsgan_discriminator(real_logits: Sequence[Tensor], fake_logits: Sequence[Tensor]) -> Tensor:
    """Eq. 3, the discriminator's side: 1/2 E[(D(x) - 1)^2] + 1/2 E[D(G(z))^2].

    Args:
        real_logits: the discriminator's logits on real images, one tensor for each scale.
        fake_logits: those on generated images, which the caller detached before the discriminator saw them.

    Returns:
        A scalar: the mean over elements, averaged over scales.

    Raises:
        ValueError: no scales, or not the same number of them.
    """
    _check_scales(real_logits, fake_logits)
    terms = [
        (real.float() - 1).square().mean() / 2 + fake.float().square().mean() / 2
        for real, fake in zip(real_logits, fake_logits, strict=True)
    ]
    return torch.stack(terms).mean()


def lsgan_generator(fake_logits: Sequence[Tensor]) -> Tensor:
    """Eq. 3, the generator's side: 1/2 E[(D(G(z)) - 1)^2].

    Args:
        fake_logits: the discriminator's logits on generated images, one tensor for each scale.

    Returns:
        A scalar: the mean over elements, averaged over scales.

    Raises:
        ValueError: no scales.
    """
    _check_scales(fake_logits, fake_logits)
    return torch.stack([(fake.float() - 1).square().mean() / 2 for fake in fake_logits]).mean()


def vanilla_discriminator(real_logits: Sequence[Tensor], fake_logits: Sequence[Tensor]) -> Tensor:
    """Half of -E[log D(x)] - E[log(1 - D(G(z)))], D(x) = sigmoid(logits).

    The half is pix2pix's (its section 3.3), which slows the discriminator down.

    Args, returns, errors: as for `lsgan_discriminator`.
    """
    _check_scales(real_logits, fake_logits)
    terms = [
        (F.softplus(-real.float()).mean() + F.softplus(fake.float()).mean()) / 2
        for real, fake in zip(real_logits, fake_logits, strict=True)
    ]
    return torch.stack(terms).mean()


def vanilla_generator(fake_logits: Sequence[Tensor]) -> Tensor:
    """-E[log D(G(z))], D(x) = sigmoid(logits): the form whose gradient does not vanish where D is sure.

    Args, returns, errors: as for `lsgan_generator`.
    """
    _check_scales(fake_logits, fake_logits)
    return torch.stack([F.softplus(-fake.float()).mean() for fake in fake_logits]).mean()


def hinge_discriminator(real_logits: Sequence[Tensor], fake_logits: Sequence[Tensor]) -> Tensor:
    """E[max(0, 1 - D(x))] + E[max(0, 1 + D(G(z)))], SN-PatchGAN's own loss (Yu et al., ICCV 2019, Eq. 4).

    Args, returns, errors: as for `lsgan_discriminator`.
    """
    _check_scales(real_logits, fake_logits)
    terms = [
        F.relu(1 - real.float()).mean() + F.relu(1 + fake.float()).mean()
        for real, fake in zip(real_logits, fake_logits, strict=True)
    ]
    return torch.stack(terms).mean()


def hinge_generator(fake_logits: Sequence[Tensor]) -> Tensor:
    """-E[D(G(z))], the generator's side of the hinge loss; it may be below 0.

    Args, returns, errors: as for `lsgan_generator`.
    """
    _check_scales(fake_logits, fake_logits)
    return torch.stack([-fake.float().mean() for fake in fake_logits]).mean()


def _check_scales(first: Sequence[Tensor], second: Sequence[Tensor]) -> None:
    if isinstance(first, Tensor) or isinstance(second, Tensor):
        raise ValueError("logits must be a sequence of tensors, one for each scale; got a tensor. Wrap it: [logits].")
    if len(first) == 0 or len(first) != len(second):
        raise ValueError(f"logits must have the same number of scales, at least 1; got {len(first)} and {len(second)}.")
