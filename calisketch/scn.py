"""Stroke Calibration Network: a human sketch S in, a calibrated and completed sketch R out (section 3.1, Eq. 1-4)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from .calibration_targets import TARGETS, checked_targets, target_map
from .checks import check_image, check_positive
from .losses import (
    blurred_dice,
    dice,
    f1_of_lines,
    feature_matching,
    line_cross_entropy,
    lsgan_discriminator,
    lsgan_generator,
    soft_f1,
)
from .networks import EncoderDecoder, SNPatchGAN, mean_logit, without_power_iteration
from .stage import Batch

_TERMS = {"hed": "contour", "canny": "detail"}  # as the paper calls them


class SCN(nn.Module):
    """G1: S (B, 1, H, W) -> R (B, 1, H, W), with D1, which tells edge maps of photos from R.

    The real images of D1 are the contour map E[0] (HED) and the detail map E[1] (Canny), and the loss is the mean of
    both *(a reading: D1 reads images of 1 channel, as R is, so the paper's "ground truth images" must be edge maps)*.

    The arguments from `targets` on are not part of the paper. With the two targets of Eq. 4, R comes out as thick as
    HED. With the product of both as target, R comes out thin. If a batch has ``inside``, pixels outside of that mask do
    not count. With calibration_weight and adversarial_weight 0, training has no D1 (`discriminators` is empty).

    Args:
        generator: G1; the paper's encoder-decoder with a sigmoid head if None.
        discriminator: D1 on 1 channel; the paper's SN-PatchGAN if None.
        calibration_weight: lambda of Eq. 4.
        contour: learn from E[0]; off is Table 2's "detail only".
        detail: learn from E[1]; off is Table 2's "contour only".
        targets: the weight of each of `calibration_targets.TARGETS`, in the place of contour and detail. It weighs the
            target's term in Eq. 4 and the target's share of D1's real images.
        judged_by: the target of the plateau figure, which is 1 - F1 at 2 pixels of R, cut at 0.5; None: 1 - soft F1,
            averaged over the targets.
        adversarial_weight: weight of Eq. 3 in G1's loss; 1 in the paper.
        cross_entropy_weight: weight of `losses.line_cross_entropy` with each target, times the target's weight.
        positive_weight: how much more ink counts than paper in it.
        dice_weight: weight of `losses.dice` with each target.
        blurred_weight: weight of `losses.blurred_dice` with each target.

    Raises:
        ValueError: a negative weight, weights of 0 only, neither contour nor detail, or targets or judged_by that name
            no target.
    """

    def __init__(
        self,
        generator: nn.Module | None = None,
        discriminator: nn.Module | None = None,
        calibration_weight: float = 10.0,
        contour: bool = True,
        detail: bool = True,
        targets: Mapping[str, float] | None = None,
        judged_by: str | None = None,
        adversarial_weight: float = 1.0,
        cross_entropy_weight: float = 0.0,
        positive_weight: float = 1.0,
        dice_weight: float = 0.0,
        blurred_weight: float = 0.0,
    ):
        super().__init__()
        check_positive("calibration_weight", calibration_weight, zero=True)
        if not (contour or detail):
            raise ValueError("SCN must learn from contour, detail or both; got contour=False and detail=False.")
        if judged_by is not None and judged_by not in TARGETS:
            raise ValueError(f"judged_by must be one of {', '.join(TARGETS)}, or null; got {judged_by!r}.")
        direct = {
            "cross_entropy_weight": cross_entropy_weight,
            "dice_weight": dice_weight,
            "blurred_weight": blurred_weight,
        }
        for name, weight in {"adversarial_weight": adversarial_weight, **direct}.items():
            check_positive(name, weight, zero=True)
        if not (calibration_weight or adversarial_weight or any(direct.values())):
            raise ValueError("SCN must have a loss; got only weights of 0. Give calibration_weight, 10 in the paper.")
        check_positive("positive_weight", positive_weight)
        self.generator = EncoderDecoder(1, 1, head="sigmoid") if generator is None else generator
        self.discriminator = SNPatchGAN(1) if discriminator is None else discriminator
        self.calibration_weight = calibration_weight
        both = {"hed": float(contour), "canny": float(detail)}
        self.weights = checked_targets(both if targets is None else targets)
        self.targets = tuple(_TERMS.get(name, name) for name in self.weights)
        self.judged_by = judged_by
        self.adversarial_weight = adversarial_weight
        self.cross_entropy_weight, self.positive_weight = cross_entropy_weight, positive_weight
        self.dice_weight, self.blurred_weight = dice_weight, blurred_weight

    @property
    def discriminators(self) -> dict[str, nn.Module]:
        """What is trained against G1: D1, unless neither of the losses that it is in has weight."""
        return {"scn": self.discriminator} if self.calibration_weight or self.adversarial_weight else {}

    def forward(self, sketch: Tensor) -> Tensor:
        """Eq. 1: R = G1(S). sketch (B, 1, H, W) in [0, 1], ink = 1; the result alike."""
        check_image(sketch, 1, "sketch", range01=False)
        return self.generator(sketch)

    def _real(self, batch: Batch) -> dict[str, Tensor]:
        """The targets by name, (B, 1, H, W) each, empty outside the photo."""
        return {name: _inside(target_map(name, batch), batch) for name in self.weights}

    def _averaged(self, terms: list[Tensor]) -> Tensor:
        """One term a target -> their mean, by the targets' weights."""
        shares = torch.tensor(list(self.weights.values()), device=terms[0].device)
        return (torch.stack(terms) * (shares / shares.sum())).sum()

    def discriminator_losses(self, batch: Batch) -> Batch:
        """Eq. 3 for D1: E[j] is real, R (``batch["refined"]``, detached here) is fake; averaged over j.

        Nothing where there is no D1 in training.
        """
        if not self.discriminators:
            return {}
        fake = _inside(batch["refined"].detach(), batch)
        output = self.discriminator(torch.cat([*self._real(batch).values(), fake]))
        *real, fake_logits = zip(*(scale.chunk(len(self.targets) + 1) for scale in output.logits), strict=True)
        terms = [lsgan_discriminator(logits, fake_logits) for logits in real]
        return {"scn/discriminator": self._averaged(terms)}

    def generator_losses(self, batch: Batch, calibration_weight: float | None = None) -> Batch:
        """Eq. 4: adversarial + lambda * (CL[0] + CL[1]), with Eq. 2's calibration loss CL[j] on D1's layers.

        calibration_weight: in place of lambda, where it is given.
        """
        weight = self.calibration_weight if calibration_weight is None else calibration_weight
        real = self._real(batch)
        if not self.discriminators:
            return self._direct(batch, real)
        output = self.discriminator(_inside(batch["refined"], batch))
        terms = {"scn/adversarial": self.adversarial_weight * lsgan_generator(output.logits)}
        for name, share in self.weights.items():
            with torch.no_grad():
                features = self.discriminator(real[name]).features
            matching = feature_matching(features, output.features)  # Eq. 2
            terms[f"scn/{_TERMS.get(name, name)}"] = share * weight * matching
        return {**terms, **self._direct(batch, real)}

    def _direct(self, batch: Batch, real: Mapping[str, Tensor]) -> Batch:
        """The terms that need no D1, against each target; those with weight only."""
        refined, inside = batch["refined"], batch.get("inside")
        terms: dict[str, list[Tensor]] = {}
        for name, share in self.weights.items():
            if self.cross_entropy_weight:
                entropy = line_cross_entropy(refined, real[name], self.positive_weight, inside)
                terms.setdefault("scn/cross_entropy", []).append(share * self.cross_entropy_weight * entropy)
            if self.dice_weight:
                overlap = dice(refined, real[name], inside)
                terms.setdefault("scn/dice", []).append(share * self.dice_weight * overlap)
            if self.blurred_weight:
                near = blurred_dice(refined, real[name], inside=inside)
                terms.setdefault("scn/blurred", []).append(share * self.blurred_weight * near)
        return {name: torch.stack(parts).sum() for name, parts in terms.items()}

    @torch.no_grad()
    def scores(self, batch: Batch) -> Batch:
        """D1's mean output on the edge maps and on R; nothing where there is no D1 in training."""
        if not self.discriminators:
            return {}
        with without_power_iteration(self.discriminator):
            real = self._averaged([mean_logit(self.discriminator(target)) for target in self._real(batch).values()])
            return {"scn/real": real, "scn/fake": mean_logit(self.discriminator(_inside(batch["refined"], batch)))}

    @torch.no_grad()
    def plateau_figures(self, refined: Tensor, batch: Batch) -> Tensor:
        """(N,) figures, lower is better, NaN for images without lines: they have none to be judged by.

        With `judged_by` 1 - F1 of R's lines, one for each image; else 1 - soft F1 of R against E[j] at 2 pixels, one
        for each image and target.
        """
        inside = batch.get("inside")
        if self.judged_by is not None:
            return 1 - f1_of_lines(refined, target_map(self.judged_by, batch), inside=inside)
        drawing = _inside(refined, batch).float()
        scores = [soft_f1(drawing, target.float(), tolerance=2) for target in self._real(batch).values()]
        return 1 - torch.cat(scores)

    @torch.no_grad()
    def plateau_figure(self, refined: Tensor, batch: Batch) -> Tensor:
        """The mean of `plateau_figures` over the images that have lines; NaN if none of them has."""
        return self.plateau_figures(refined, batch).nanmean()


def _inside(drawing: Tensor, batch: Batch) -> Tensor:
    """The drawing with nothing beyond the photo, where the batch says what lies inside."""
    return drawing * batch["inside"] if "inside" in batch else drawing
