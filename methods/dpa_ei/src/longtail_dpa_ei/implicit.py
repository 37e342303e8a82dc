"""Implicit augmentation: the expected loss of infinitely many features around each one, as a change of its logits."""

from __future__ import annotations

import torch
from torch import Tensor

from longtail.losses.base import full_precision


def augmented(logits: Tensor, weight: Tensor, covariance: Tensor, labels: Tensor, ratio: float) -> Tensor:
    """Logits z_nc + ratio / 2 (w_c - w_y)^T Sigma_y (w_c - w_y), shape (B, C), float32 or better; that of y is unchanged.

    Wang et al., Implicit Semantic Data Augmentation, NeurIPS 2019 (arXiv 1909.12220), equation 6: the bound of the expected
    cross entropy where features of class y are drawn from N(f, ratio Sigma_y).

    Args:
        logits: z = W f + b, shape (B, C).
        weight: W, the classifier's rows w_c, shape (C, A).
        covariance: Sigma, shape (C, A, A), or the diagonals alone, shape (C, A); it need not be positive.
        labels: y, int64, shape (B,).
        ratio: strength of the augmentation, >= 0.
    """
    spread = _diagonal_spread if covariance.dim() == 2 else _full_spread
    with torch.autocast(logits.device.type, enabled=False):
        return full_precision(logits) + 0.5 * ratio * spread(full_precision(weight), covariance, labels)


def _full_spread(weight: Tensor, covariance: Tensor, labels: Tensor) -> Tensor:
    """The quadratic forms, shape (B, C): of each of the batch's classes once, and only the diagonal of the C x C product."""
    if labels.device.type == "cpu":
        classes, row_of = torch.unique(labels, return_inverse=True)
    else:
        # counting the distinct classes would make the device wait
        classes, row_of = labels, torch.arange(len(labels), device=labels.device)
    distances = weight - weight[classes][:, None]
    forms = (torch.bmm(distances, covariance[classes]) * distances).sum(dim=2)
    return forms[row_of]


def _diagonal_spread(weight: Tensor, variances: Tensor, labels: Tensor) -> Tensor:
    """The same for diagonal Sigma, from products of (B, A) with (A, C): (B, C, A) would take gigabytes."""
    own, own_variances = weight[labels], variances[labels]
    crossed = own_variances @ weight.square().T - 2 * (own * own_variances) @ weight.T
    forms = crossed + (own.square() * own_variances).sum(dim=1, keepdim=True)
    elsewhere = labels[:, None] != torch.arange(len(weight), device=labels.device)
    return forms * elsewhere
