"""Stroke Calibration Network: a human sketch S in, a calibrated and completed sketch R out (section 3.1, Eq. 1-4)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .checks import check_image, check_positive
from .losses import feature_matching, lsgan_discriminator, lsgan_generator, soft_f1
from .networks import EncoderDecoder, SNPatchGAN, mean_logit, without_power_iteration
from .stage import Batch


class SCN(nn.Module):
    """G1: S (B, 1, H, W) -> R (B, 1, H, W), with D1, which tells edge maps of photos from R.

    "Ground truth images" of D1 can only be edge maps, since D1 is applied to them and to the 1-channel R alike: the
    contour map E[0] (HED) and the detail map E[1] (Canny), the loss averaged over the two *(a reading)*.

    Args:
        generator: G1; the paper's encoder-decoder with a sigmoid head if None.
        discriminator: D1 on 1 channel; the paper's SN-PatchGAN if None.
        calibration_weight: lambda of Eq. 4.
        contour: learn from E[0]; off is Table 2's "detail only".
        detail: learn from E[1]; off is Table 2's "contour only".

    Raises:
        ValueError: a negative weight, or neither contour nor detail.
    """

    def __init__(
        self,
        generator: nn.Module | None = None,
        discriminator: nn.Module | None = None,
        calibration_weight: float = 10.0,
        contour: bool = True,
        detail: bool = True,
    ):
        super().__init__()
        check_positive("calibration_weight", calibration_weight, zero=True)
        if not (contour or detail):
            raise ValueError("SCN must learn from contour, detail or both; got contour=False and detail=False.")
        self.generator = EncoderDecoder(1, 1, head="sigmoid") if generator is None else generator
        self.discriminator = SNPatchGAN(1) if discriminator is None else discriminator
        self.calibration_weight = calibration_weight
        self.targets = tuple(name for name, wanted in (("contour", contour), ("detail", detail)) if wanted)

    def forward(self, sketch: Tensor) -> Tensor:
        """Eq. 1: R = G1(S). sketch (B, 1, H, W) in [0, 1], ink = 1; the result alike."""
        check_image(sketch, 1, "sketch", range01=False)
        return self.generator(sketch)

    def discriminator_losses(self, batch: Batch) -> Batch:
        """Eq. 3 for D1: E[j] is real, R (``batch["refined"]``, detached here) is fake; averaged over j."""
        fake = batch["refined"].detach()
        output = self.discriminator(torch.cat([*(batch[name] for name in self.targets), fake]))
        *real, fake_logits = zip(*(scale.chunk(len(self.targets) + 1) for scale in output.logits), strict=True)
        terms = [lsgan_discriminator(logits, fake_logits) for logits in real]
        return {"scn/discriminator": torch.stack(terms).mean()}

    def generator_losses(self, batch: Batch, calibration_weight: float | None = None) -> Batch:
        """Eq. 4: adversarial + lambda * (CL[0] + CL[1]), with Eq. 2's calibration loss CL[j] on D1's layers.

        calibration_weight: in place of lambda, where it is given.
        """
        weight = self.calibration_weight if calibration_weight is None else calibration_weight
        output = self.discriminator(batch["refined"])
        terms = {"scn/adversarial": lsgan_generator(output.logits)}
        for name in self.targets:
            with torch.no_grad():
                real = self.discriminator(batch[name]).features
            terms[f"scn/{name}"] = weight * feature_matching(real, output.features)  # Eq. 2
        return terms

    @torch.no_grad()
    def scores(self, batch: Batch) -> Batch:
        """D1's mean output on the edge maps and on R."""
        with without_power_iteration(self.discriminator):
            real = torch.stack([mean_logit(self.discriminator(batch[name])) for name in self.targets]).mean()
            return {"scn/real": real, "scn/fake": mean_logit(self.discriminator(batch["refined"]))}

    @torch.no_grad()
    def plateau_figure(self, refined: Tensor, batch: Batch) -> Tensor:
        """1 - soft F1 of R against E[j] at 2 pixels, averaged over j and over the images that have lines."""
        scores = [soft_f1(refined.float(), batch[name].float(), tolerance=2) for name in self.targets]
        return 1 - torch.cat(scores).nanmean()
