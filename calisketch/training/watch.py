"""What a stage's steps add up to: updates that were skipped, and discriminators that have won."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .step import NonFiniteLoss, check_finite

LOW_DISCRIMINATOR_LOSS = 1e-2
LOW_FOR_STEPS = 200
MOST_SKIPS_IN_A_ROW = 100
LEAST_SCALE = 2.0**-20  # below it half precision rounds gradients of 0.03 to nothing

Report = Mapping[str, Mapping[str, float]]


class Watch:
    """Reads every step's report, and keeps what has to be known again after a resume.

    Attributes:
        skipped: this stage's updates that were left out since gradients overflowed (16-mixed), by "generator" and
            "discriminator".
        warned: discriminators, with their stage, that a warning was given of in this run.
    """

    def __init__(self) -> None:
        self.skipped: dict[str, int] = {}
        self.skips_in_a_row: dict[str, int] = {}
        self.low_steps: dict[str, int] = {}  # in a row, by discriminator
        self.warned: list[str] = []

    def begin(self) -> None:
        """A new stage starts."""
        self.skipped, self.skips_in_a_row, self.low_steps = {}, {}, {}

    def see(self, report: Report, stage: str, step: int) -> list[str]:
        """Takes note of one step's ``StepReport.read()``; every step of a stage, in order.

        Returns:
            What has to be said to the person, if anything.

        Raises:
            NonFiniteLoss: a loss term is no finite number; a gradient is none and there is no scaler; or there is one,
                and it finds no scale at which gradients stay finite.
        """
        check_finite(report, stage, step, scaled="scaler" in report)
        self._count_skips(report.get("scaler", {}), stage, step)
        return self._find_winners(report["discriminator"], stage)

    def _count_skips(self, scaler: Mapping[str, float], stage: str, step: int) -> None:
        for role in ("generator", "discriminator"):
            if role not in scaler:
                continue
            skipped = scaler[role] > 0
            self.skipped[role] = self.skipped.get(role, 0) + skipped
            self.skips_in_a_row[role] = self.skips_in_a_row.get(role, 0) + 1 if skipped else 0
        row = max(self.skips_in_a_row.values(), default=0)
        if row >= MOST_SKIPS_IN_A_ROW or scaler.get("scale", 1.0) < LEAST_SCALE:
            raise NonFiniteLoss(
                f"stage {stage}, step {step}: gradients overflow half precision again and again ({row} times in a row, "
                f"{sum(self.skipped.values())} updates skipped, loss scale {scaler['scale']:.3g}), so nothing is "
                "learned. The weights of the last good step are kept. Use precision=bf16-mixed or 32-true, or a lower "
                "learning rate."
            )

    def _find_winners(self, discriminator_losses: Mapping[str, float], stage: str) -> list[str]:
        losses: dict[str, float] = {}
        for name, loss in discriminator_losses.items():
            network = name.rpartition("/")[0]
            losses[network] = losses.get(network, 0.0) + loss
        found = []
        for network, loss in losses.items():
            self.low_steps[network] = self.low_steps.get(network, 0) + 1 if loss < LOW_DISCRIMINATOR_LOSS else 0
            whose = f"stage {stage}: the loss of discriminator {network}".rstrip()
            if self.low_steps[network] >= LOW_FOR_STEPS and whose not in self.warned:
                self.warned.append(whose)
                found.append(
                    f"{whose} has been under {LOW_DISCRIMINATOR_LOSS} for {LOW_FOR_STEPS} steps: it tells real from "
                    "fake at once, and the generator learns little from it. A lower discriminator_ratio, PatchGAN70 or "
                    "more photos help."
                )
        return found

    def summary(self) -> str:
        """The skipped updates in words; empty if there were none."""
        counts = [f"{count} of the {role}s'" for role, count in self.skipped.items() if count]
        return f"updates skipped since gradients overflowed: {', '.join(counts)}" if counts else ""

    def state_dict(self) -> dict[str, Any]:
        """Plain containers."""
        return {
            "skipped": dict(self.skipped),
            "skips_in_a_row": dict(self.skips_in_a_row),
            "low_steps": dict(self.low_steps),
            "warned": list(self.warned),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes up a kept state."""
        self.skipped, self.skips_in_a_row = dict(state["skipped"]), dict(state["skips_in_a_row"])
        self.low_steps, self.warned = dict(state["low_steps"]), list(state["warned"])
