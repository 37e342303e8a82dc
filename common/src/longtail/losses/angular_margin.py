"""Classifiers whose training logits ask the true class for a margin of angle: ArcFace, AM-softmax, SphereFace."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from longtail.errors import UserError
from longtail.losses.base import full_precision
from longtail.losses.polar import lengths_and_directions


class MarginHead(nn.Module, ABC):
    """Logits from the cosines between features and class weights, the true class's made harder to reach.

    It needs the labels, so it serves training only: any loss of logits may follow it, and its gradient shapes the features.
    Computed in float32 even under autocast, since the scale multiplies rounding errors too. Subclasses give `with_margin`.

    Args:
        in_features: D.
        num_classes: C. The weight has shape (C, D), Xavier uniform.
        scale: factor of all logits, or None for the length of each sample's feature.
    """

    def __init__(self, in_features: int, num_classes: int, *, scale: float | None) -> None:
        super().__init__()
        self.in_features = in_features
        self.num_classes = num_classes
        self.scale = scale
        self.weight = nn.Parameter(torch.empty(num_classes, in_features))
        nn.init.xavier_uniform_(self.weight)

    @abstractmethod
    def with_margin(self, cosines: Tensor) -> Tensor:
        """What stands in for the true class's cosine; any shape, float32 or float64, kept."""

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Logits, shape (B, C), float32 or better, of floating-point features (B, D) with int64 labels (B,)."""
        with torch.autocast(features.device.type, enabled=False):
            lengths, directions = lengths_and_directions(full_precision(features))
            _, class_directions = lengths_and_directions(self.weight.to(directions.dtype))
            cosines = directions @ class_directions.T
            at_label = labels[:, None] == torch.arange(self.num_classes, device=labels.device)
            own = self.with_margin(cosines.gather(1, labels[:, None]))
            return torch.where(at_label, own, cosines) * (lengths if self.scale is None else self.scale)

    def extra_repr(self) -> str:
        """The sizes and the scale."""
        return f"in_features={self.in_features}, num_classes={self.num_classes}, scale={self.scale}"


class ArcFace(MarginHead):
    """s cos(theta_y + m) for the true class, s cos(theta_c) for the others: an equal margin of angle everywhere.

    Where theta_y + m would pass pi the cosine turns, and the true class gets s (cos(theta_y) - m sin(m)) instead. Deng et al.,
    ArcFace: Additive Angular Margin Loss for Deep Face Recognition, CVPR 2019 (arXiv 1801.07698), equation 3.

    Args:
        in_features: D.
        num_classes: C.
        scale: s, > 0; the paper's value is 64, the widely used PyTorch port has 30.
        margin: m, radians, in [0, pi); the paper's value is 0.5.
        easy_margin: give the margin only where theta_y is below a right angle, and none elsewhere.

    Raises:
        UserError: the margin or the scale lies outside its range.
    """

    def __init__(
        self, in_features: int, num_classes: int, *, scale: float = 30.0, margin: float = 0.5, easy_margin: bool = False
    ) -> None:
        super().__init__(in_features, num_classes, scale=scale)
        if not (0 <= margin < math.pi and 0 < scale < math.inf):
            raise UserError(f"ArcFace: the margin is an angle in [0, pi) and the scale > 0, got {margin} and {scale}")
        self.margin = margin
        self.easy_margin = easy_margin

    def with_margin(self, cosines: Tensor) -> Tensor:
        """cos(theta + m), or its continuation beyond the turn."""
        widened = cosines * math.cos(self.margin) - _sines(cosines) * math.sin(self.margin)
        if self.easy_margin:
            return torch.where(cosines > 0, widened, cosines)
        return torch.where(cosines > -math.cos(self.margin), widened, cosines - self.margin * math.sin(self.margin))

    def extra_repr(self) -> str:
        """The sizes and the options."""
        return f"{super().extra_repr()}, margin={self.margin}, easy_margin={self.easy_margin}"


class AMSoftmax(MarginHead):
    """s (cos(theta_y) - m) for the true class, s cos(theta_c) for the others: an equal margin of cosine everywhere.

    Wang et al., Additive Margin Softmax for Face Verification, 2018 (arXiv 1801.05599), section 3. CosFace is the same head.

    Args:
        in_features: D.
        num_classes: C.
        scale: s, > 0; the paper's value is 30.
        margin: m, finite, >= 0; the paper tries 0.25 to 0.5.

    Raises:
        UserError: the margin or the scale lies outside its range.
    """

    def __init__(self, in_features: int, num_classes: int, *, scale: float = 30.0, margin: float = 0.4) -> None:
        super().__init__(in_features, num_classes, scale=scale)
        if not (0 <= margin < math.inf and 0 < scale < math.inf):
            raise UserError(f"AM-softmax: the margin is >= 0 and the scale > 0, got {margin} and {scale}")
        self.margin = margin

    def with_margin(self, cosines: Tensor) -> Tensor:
        """cos(theta) - m."""
        return cosines - self.margin

    def extra_repr(self) -> str:
        """The sizes and the options."""
        return f"{super().extra_repr()}, margin={self.margin}"


# The annealing of the published training code: lambda = max(5, 1000 / (1 + 0.12 t)).
_FIRST_LAMBDA = 1000.0
_LAMBDA_DECAY = 0.12
_LAST_LAMBDA = 5.0


class SphereFace(MarginHead):
    """|x| psi(theta_y) for the true class, |x| cos(theta_c) for the others: the true angle has to be m times smaller.

    psi(theta) = (-1)^k cos(m theta) - 2k on [k pi / m, (k + 1) pi / m] continues cos(m theta) monotonically. That is hard to
    learn from the start, so psi is mixed with the plain cosine, (lambda cos(theta) + psi(theta)) / (lambda + 1), and lambda
    falls from about 900 to 5 over the first 1,659 training batches. Liu et al., SphereFace: Deep Hypersphere Embedding for Face
    Recognition, CVPR 2017 (arXiv 1704.08063), section 3.2 and its appendix.

    The number of training batches seen is a buffer of the state dict: a resumed run would otherwise begin to anneal anew, and
    differ from one that never stopped. It stays a tensor on the device, so that no step has to wait for its value.

    Args:
        in_features: D.
        num_classes: C.
        margin: m, an integer >= 1; the paper's value is 4.

    Raises:
        UserError: the margin is no positive integer.
    """

    batches: Tensor

    def __init__(self, in_features: int, num_classes: int, *, margin: int = 4) -> None:
        super().__init__(in_features, num_classes, scale=None)
        if not (isinstance(margin, int) and margin >= 1):
            raise UserError(f"SphereFace: the margin multiplies angles and is an integer >= 1, got {margin}")
        self.margin = margin
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Logits, shape (B, C), float32 or better, of floating-point features (B, D) with int64 labels (B,).

        In training mode each call counts as a batch, and is annealed as such; in evaluation mode lambda stays where it is.
        """
        if self.training:
            self.batches.add_(1)
        return super().forward(features, labels)

    def annealing(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """lambda of the latest training batch, a scalar of this type."""
        return (_FIRST_LAMBDA / (1.0 + _LAMBDA_DECAY * self.batches.to(dtype))).clamp_min(_LAST_LAMBDA)

    def with_margin(self, cosines: Tensor) -> Tensor:
        """The annealed psi(theta)."""
        angles = torch.acos(cosines.detach().clamp(-1.0, 1.0))
        # The straight angle belongs to the last piece; a piece beyond it would have the slope of the wrong sign.
        piece = torch.floor(self.margin * angles / math.pi).clamp_max(self.margin - 1)
        psi = (1.0 - 2.0 * (piece % 2)) * _cosines_of_multiple(cosines, self.margin) - 2.0 * piece
        return cosines + (psi - cosines) / (1.0 + self.annealing(cosines.dtype))

    def extra_repr(self) -> str:
        """The sizes and the margin."""
        return f"in_features={self.in_features}, num_classes={self.num_classes}, margin={self.margin}"


def _sines(cosines: Tensor) -> Tensor:
    """The sines, >= 0, of angles in [0, pi]; at both ends, where the slope is infinite, with zero gradient."""
    squares = 1.0 - cosines.square()
    inside = squares > 0
    return torch.where(inside, torch.where(inside, squares, 1.0).sqrt(), 0.0)


def _cosines_of_multiple(cosines: Tensor, multiple: int) -> Tensor:
    """cos(multiple theta) of cos(theta), by Chebyshev's recurrence."""
    before, current = torch.ones_like(cosines), cosines
    for _ in range(multiple - 1):
        before, current = current, 2.0 * cosines * current - before
    return current
