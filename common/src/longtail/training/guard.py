"""Keeping a non-finite loss away from the weights."""

from __future__ import annotations

import torch
from torch import Tensor

from longtail.errors import UserError
from longtail.training.recipe import Clock


class FiniteGuard:
    """Keeps a non-finite loss away from the weights, without making a GPU wait for the loss of every batch.

    A fused optimiser on CUDA skips its step where `found_inf` is one; elsewhere the loss is looked at before the step.
    """

    def __init__(self, optimiser: torch.optim.Optimizer, device: torch.device) -> None:
        self.optimiser = optimiser
        self.on_device = device.type == "cuda" and all(group.get("fused") for group in optimiser.param_groups)
        self.bad = torch.zeros((), dtype=torch.float32, device=device)

    def watch(self, loss: Tensor) -> None:
        """Take note of a batch's loss."""
        self.bad = torch.maximum(self.bad, 1 - torch.isfinite(loss.detach()).to(self.bad))

    def step(self) -> None:
        """The optimiser's step, unless a loss since the last check was not finite."""
        if self.on_device:
            self.optimiser.grad_scale, self.optimiser.found_inf = None, self.bad  # type: ignore[attr-defined]
            self.optimiser.step()
        elif not self.bad:
            self.optimiser.step()

    def check(self, clock: Clock) -> None:
        """Stop the run if a loss was not finite.

        Raises:
            UserError: it was not.
        """
        if self.bad:
            raise UserError(
                f"the loss stopped being finite in epoch {clock.epoch}, at batch {clock.step} or shortly before; "
                "no weight and no checkpoint was touched by it.\n"
                "Try a lower learning rate, --clip-norm 1, or --precision float32."
            )
