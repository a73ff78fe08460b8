"""One adversarial step of any stage: discriminators on detached fakes, then generators through the updated ones."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from ..stage import Batch, Stage


class NonFiniteLoss(RuntimeError):
    """A loss term or a gradient stopped being a finite number; the weights were not touched by it."""


@dataclass
class StepReport:
    """What a step measured. Its way to the CPU has begun when it is made; reading it waits for that step alone.

    Attributes:
        names: (group, name) of each value; groups are discriminator, generator (loss terms, weighted) and
            gradient_norm (per network), and under 16-mixed scaler (``scale``, and for generator and discriminator 1
            where the update was skipped, else 0).
        values: (len(names),) float32.
        generated: the last micro-batch with the generators' outputs, detached.
        skipped: () on the device, 1 if the generators' update was skipped; None without a scaler.
    """

    names: list[tuple[str, str]]
    values: Tensor
    generated: Batch
    skipped: Tensor | None = None

    def __post_init__(self) -> None:
        self._copied: torch.cuda.Event | None = None
        if self.values.device.type == "cuda":
            host = torch.empty(self.values.shape, pin_memory=True)
            self.values = host.copy_(self.values, non_blocking=True)
            self._copied = torch.cuda.Event()
            self._copied.record()

    def read(self) -> dict[str, dict[str, float]]:
        """The values by group and name."""
        if self._copied is not None:
            self._copied.synchronize()
        result: dict[str, dict[str, float]] = {"discriminator": {}, "generator": {}, "gradient_norm": {}}
        for (group, name), value in zip(self.names, self.values.tolist(), strict=True):
            result.setdefault(group, {})[name] = value
        return result


class AdversarialStep:
    """A stage's optimizers, and the step they take.

    A loss or gradient that is not finite must not reach the weights, and waiting for the device in every step to
    find out would cost more than the check: Adam's kernels take a flag, on the device, that makes their update a
    no-op. The flag stays up until the caller, reading the report, stops the run. Under 16-mixed a gradient that
    overflows is no fault: the flag goes up for that update alone, and the scale is lowered.

    Args:
        fabric: launched; gives precision, backward and reduction.
        stage: the stage that is trained.
        scaler: the gradient scaler of 16-mixed.
    """

    def __init__(self, fabric: Fabric, stage: Stage, scaler: torch.amp.GradScaler | None = None) -> None:
        self.fabric = fabric
        self.stage = stage
        self.scaler = scaler
        rate, ratio, betas = stage.schedule.learning_rate, stage.schedule.discriminator_ratio, stage.schedule.betas
        self.generator_optimizer = _adam(stage.generators, rate, betas)
        self.discriminator_optimizer = (
            _adam(stage.discriminators, rate * ratio, betas) if stage.discriminators else None
        )
        self.broken = torch.zeros((), device=fabric.device)

    def follow_schedule(self, done: int) -> None:
        """Sets the learning rates of the step that follows ``done`` ones."""
        schedule = self.stage.schedule
        rate = schedule.learning_rate * schedule.rate_factor(done)
        _set_rate(self.generator_optimizer, rate)
        if self.discriminator_optimizer is not None:
            _set_rate(self.discriminator_optimizer, rate * schedule.discriminator_ratio)

    def __call__(self, batches: Sequence[Batch]) -> StepReport:
        """One step over ``batches``, micro-batches of one size whose gradients are averaged."""
        figures: dict[tuple[str, str], Tensor] = {}
        generated: list[Batch] = []
        if self.discriminator_optimizer is not None:
            generated = self._step_discriminators(self.discriminator_optimizer, batches, figures)
        last = self._step_generators(batches, generated, figures)
        if self.scaler is not None:
            self.scaler.update()
            figures["scaler", "scale"] = self.scaler.scale(torch.ones_like(self.broken))
        values = torch.stack([value.detach().float() for value in figures.values()])
        generated_last = {name: value.detach() for name, value in last.items()}
        return StepReport(list(figures), values, generated_last, figures.get(("scaler", "generator")))

    def _step_discriminators(
        self, optimizer: torch.optim.Adam, batches: Sequence[Batch], figures: dict[tuple[str, str], Tensor]
    ) -> list[Batch]:
        """Returns the generators' outputs with their graph, where there is one batch: they serve both halves."""
        optimizer.zero_grad(set_to_none=True)
        single = len(batches) == 1
        sums: dict[str, Tensor] = {}
        for batch in batches:
            with self.fabric.autocast():
                with torch.set_grad_enabled(single):  # several graphs at once would undo what accumulation saves
                    generated = self.stage.generate(batch)
                losses = self.stage.discriminator_losses(generated)
                total = _total(losses)
            self._backward(total, losses, sums, 1 / len(batches))
        self._update(optimizer, "discriminator", self.stage.discriminators, sums, figures)
        return [generated] if single else []

    def _step_generators(
        self, batches: Sequence[Batch], generated: list[Batch], figures: dict[tuple[str, str], Tensor]
    ) -> Batch:
        """Returns the last batch with the generators' outputs."""
        self.generator_optimizer.zero_grad(set_to_none=True)
        sums: dict[str, Tensor] = {}
        with _frozen(self.stage.discriminators.values()):
            for batch in batches:
                with self.fabric.autocast():
                    made = generated[0] if generated else self.stage.generate(batch)
                    losses = self.stage.generator_losses(made)
                    total = _total(losses)
                self._backward(total, losses, sums, 1 / len(batches))
        self._update(self.generator_optimizer, "generator", self.stage.generators, sums, figures)
        return made

    def _backward(self, total: Tensor, losses: Batch, sums: dict[str, Tensor], share: float) -> None:
        self.fabric.backward(total * share)
        for name, term in losses.items():
            value = term.detach().float() * share
            sums[name] = sums[name] + value if name in sums else value

    def _update(
        self,
        optimizer: torch.optim.Adam,
        role: str,
        networks: Mapping[str, nn.Module],
        terms: Mapping[str, Tensor],
        figures: dict[tuple[str, str], Tensor],
    ) -> None:
        """Averages gradients and terms over the processes and steps, unless something is not finite; notes the figures.

        The average comes first: one process's overflow or broken term is then everyone's, and all skip the same step.
        """
        terms = self._average(networks, terms)
        if self.scaler is not None:
            self.scaler.unscale_(optimizer)  # and notes an overflow for its own update
        norms = {name: self._gradient_norm(module) for name, module in networks.items()}
        bad_term, bad_gradient = _not_finite(terms), _not_finite(norms)
        if self.scaler is None:
            self.broken = torch.maximum(self.broken, torch.maximum(bad_term, bad_gradient))
            found = self.broken
        else:
            self.broken = torch.maximum(self.broken, bad_term)
            found = torch.maximum(self.broken, bad_gradient)
            figures["scaler", role] = found
        optimizer.found_inf = found  # type: ignore[attr-defined]
        optimizer.step()
        figures |= {(role, name): term for name, term in terms.items()}
        figures |= {("gradient_norm", f"{name}/{role}"): norm for name, norm in norms.items()}

    def _gradient_norm(self, module: nn.Module) -> Tensor:
        gradients = [parameter.grad for parameter in module.parameters() if parameter.grad is not None]
        if not gradients:
            return torch.zeros_like(self.broken)
        return torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))

    def _average(self, networks: Mapping[str, nn.Module], terms: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Over the processes, in one exchange: the gradients in place, and the terms."""
        if self.fabric.world_size == 1:
            return terms
        gradients = [p.grad for module in networks.values() for p in module.parameters() if p.grad is not None]
        flat = torch.cat([*(gradient.flatten() for gradient in gradients), torch.stack(list(terms.values()))])
        *pieces, averages = self.fabric.all_reduce(flat, reduce_op="mean").split(
            [*(gradient.numel() for gradient in gradients), len(terms)]
        )
        for gradient, piece in zip(gradients, pieces, strict=True):
            gradient.copy_(piece.view_as(gradient))
        return dict(zip(terms, averages, strict=True))

    def state_dict(self) -> dict[str, Any]:
        """The optimizers' states."""
        discriminators = self.discriminator_optimizer.state_dict() if self.discriminator_optimizer else {}
        return {"generators": self.generator_optimizer.state_dict(), "discriminators": discriminators}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes up the moments; learning rates and betas stay the schedule's, which a resumed run may have changed."""
        for optimizer, kept in (
            (self.generator_optimizer, state["generators"]),
            (self.discriminator_optimizer, state["discriminators"]),
        ):
            if optimizer is not None:
                settings = [{"lr": group["lr"], "betas": group["betas"]} for group in optimizer.param_groups]
                optimizer.load_state_dict(kept)
                for group, own in zip(optimizer.param_groups, settings, strict=True):
                    group.update(own)
                _lay_out_as_parameters(optimizer)


def check_finite(report: Mapping[str, Mapping[str, float]], stage: str, step: int, *, scaled: bool = False) -> None:
    """Raises NonFiniteLoss, naming each term of ``StepReport.read()`` that is no finite number.

    scaled: gradients may overflow (16-mixed): the scaler has skipped that step, only loss terms count.
    """
    groups = ("discriminator", "generator") + (() if scaled else ("gradient_norm",))
    found = [
        f"{group} {name} = {value}"
        for group in groups
        for name, value in report[group].items()
        if not math.isfinite(value)
    ]
    if found:
        raise NonFiniteLoss(
            f"stage {stage}, step {step}: not finite: {', '.join(found)}. The weights were not updated and the last "
            "checkpoint is intact. Try precision=32-true, a lower learning rate, or look at the data of this step."
        )


def _adam(networks: Mapping[str, nn.Module], rate: float, betas: tuple[float, float]) -> torch.optim.Adam:
    groups = [
        {"params": [parameter for parameter in module.parameters() if parameter.requires_grad]}
        for module in networks.values()
    ]
    return torch.optim.Adam(groups, lr=rate, betas=betas, fused=True)


def _set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate


def _lay_out_as_parameters(optimizer: torch.optim.Optimizer) -> None:
    """Moments in their parameters' memory format (channels_last, say): Adam's fused kernel reads both as they lie."""
    for parameter, moments in optimizer.state.items():
        for name, value in moments.items():
            if value.shape == parameter.shape and value.stride() != parameter.stride():
                moments[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def _not_finite(values: Mapping[str, Tensor]) -> Tensor:
    """() float on the device: 1 if any of the scalars is not finite, else 0."""
    return (~torch.isfinite(torch.stack(list(values.values()))).all()).float()


@contextmanager
def _frozen(modules: Iterable[nn.Module]) -> Iterator[None]:
    parameters = [parameter for module in modules for parameter in module.parameters() if parameter.requires_grad]
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


def _total(terms: Mapping[str, Tensor]) -> Tensor:
    return torch.stack([term.float() for term in terms.values()]).sum()
