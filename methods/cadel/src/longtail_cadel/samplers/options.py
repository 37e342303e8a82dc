"""What the priority samplers can be told."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from longtail.errors import UserError
from longtail_cadel.samplers.priorities import PRIORITIES


@dataclass(frozen=True)
class PriorityOptions:
    """What both priority samplers can be told, by the authors' names.

    An image is drawn by a manual weight, which only its class decides, and its priority, which the network's last output for it
    decides. Manual weights are a blend of balanced ones, by which all classes are drawn alike, and uniform ones, by which all
    images are.

    Args:
        balance_scale: sum of the balanced weights, as a multiple of that of the uniform ones.
        fixed_scale: sum of the manual weights, as a multiple of that of the priorities.
        lam: share of the balanced weights in the blend; None lets it rise from 0 to 1 over the epochs.
        epochs: until it has risen.
        cycle: how it rises: 0 once, 1 three times, 2 up, down and up.
        nroot: makes the balanced weights of classes proportional to n^(1 / nroot), where n is the number of images; None makes
            them equal.
        manual_only: leave priorities out.
        rescale: with a rising share, keep the ratio `fixed_scale` to what priorities have become, instead of to what they were.
        root_decay: starts with a root of 1 and makes it larger, with balanced weights alone: "exp" doubles it, "linear" adds 1,
            and "autoexp" multiplies it so that the last epoch has `nroot`.
        decay_gap: epochs from one root to the next; 1 for "autoexp".
        ptype: what a priority is, a name of `PRIORITIES`.
        alpha: exponent, of the priorities or of what they are added to.

    Raises:
        UserError: something is impossible, or contradicts something else.
    """

    balance_scale: float = 1.0
    fixed_scale: float = 1.0
    lam: float | None = None
    epochs: int = 90
    cycle: int = 0
    nroot: float | None = None
    manual_only: bool = False
    rescale: bool = False
    root_decay: str | None = None
    decay_gap: int = 30
    ptype: str = "score"
    alpha: float = 1.0

    def __post_init__(self) -> None:
        self._check("balance_scale", self.balance_scale > 0, "be positive")
        self._check("lam", self.lam is None or 0 <= self.lam <= 1, "be from 0 to 1, or null")
        self._check("cycle", self.cycle in (0, 1, 2), "be 0, 1 or 2")
        self._check("epochs", self.epochs >= (3 if self.cycle else 1), f"be at least {3 if self.cycle else 1}")
        self._check("decay_gap", self.decay_gap >= 1, "be at least 1")
        self._check("ptype", self.ptype in PRIORITIES, f"be one of {', '.join(PRIORITIES)}")
        self._check("alpha", self.alpha >= 0, "not be negative")
        self._check("root_decay", self.root_decay in (None, "exp", "linear", "autoexp"), "be exp, linear, autoexp or null")
        if self.root_decay == "autoexp":
            self._check("nroot", self.nroot is not None and self.nroot >= 1, "be a number from 1 on for root_decay autoexp")
        elif self.root_decay is None:
            self._check("nroot", self.nroot is None or self.nroot > 1, "be larger than 1, or null")

    def _check(self, name: str, right: bool, wanted: str) -> None:
        if not right:
            raise UserError(f"training_opt.sampler.{name} must {wanted}, got {getattr(self, name)}")

    @property
    def uses_priorities(self) -> bool:
        """Whether priorities decide anything."""
        return not self.manual_only and self.root_decay is None

    @property
    def initial(self) -> float:
        """The priority of an image that was not yet shown, and the largest that an image can have."""
        return PRIORITIES[self.ptype].initial

    @property
    def rises(self) -> bool:
        """Whether the share of the balanced weights changes from epoch to epoch."""
        return self.lam is None and self.root_decay is None

    def share(self, epoch: int) -> float:
        """The share of the balanced weights in an epoch, counted from 0."""
        if self.root_decay is not None:
            return 1.0
        if self.lam is not None:
            return self.lam
        third = np.linspace(0, 1, self.epochs // 3)
        ramps = ([np.linspace(0, 1, self.epochs)], [third] * 3, [third, third[::-1], third])
        shares = np.concatenate(ramps[self.cycle])
        # the authors' code fails beyond three thirds of a number that three does not divide
        return float(shares[min(epoch, len(shares) - 1)])

    def exponent(self, epoch: int) -> float:
        """1 / nroot of an epoch, counted from 0; 0 where balanced weights are equal."""
        steps = epoch // self.decay_gap
        if self.root_decay == "exp":
            return float(0.5**steps)
        if self.root_decay == "linear":
            return 1 / (1 + steps)
        if self.nroot is None:
            return 0.0
        return float(self.nroot ** -(epoch / max(1, self.epochs - 1))) if self.root_decay == "autoexp" else 1 / self.nroot


@dataclass(frozen=True)
class ClassPriorityOptions(PriorityOptions):
    """What `ClassPrioritySampler` can be told.

    Args:
        fixed_scale: a negative one leaves manual weights out, and scales the priorities of each class so that if all images had
            the same, classes were drawn as by the manual weights.
        pri_mode: what priorities are taken from; only "train" is offered.
        momentum: share of a priority's last change in its next one.
    """

    pri_mode: str = "train"
    momentum: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("pri_mode", self.pri_mode == "train", "be train, nothing else is offered")
        self._check("momentum", 0 <= self.momentum <= 1, "be from 0 to 1")
        without = self.fixed_scale >= 0 or self.uses_priorities
        self._check("fixed_scale", without, "not be negative without priorities, which it scales")


@dataclass(frozen=True)
class MixedPrioritizedOptions(PriorityOptions):
    """What `MixedPrioritizedSampler` can be told."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("fixed_scale", self.fixed_scale >= 0, "not be negative in a MixedPrioritizedSampler")
        if self.root_decay is None:
            self._check("nroot", self.nroot is None or self.nroot >= 2, "be at least 2 in a MixedPrioritizedSampler, or null")
