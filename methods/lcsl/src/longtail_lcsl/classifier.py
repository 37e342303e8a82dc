"""Classifiers whose rows have more even lengths (Kang et al., Decoupling Representation and Classifier, ICLR 2020)."""

from __future__ import annotations

import torch
from torch import Tensor

from longtail.backbones import Backbone, linear_classifier

TINY = 1e-12
"""Shortest length that a row is divided by; a row of zeros stays zeros."""


def tau_normalised(weight: Tensor, tau: float) -> Tensor:
    """Rows w / |w|^tau of a classifier's weight, shape (C, D); with tau = 1 all rows get length 1."""
    lengths: Tensor = torch.linalg.vector_norm(weight, dim=1, keepdim=True)
    return weight / lengths.clamp_min(TINY) ** tau


@torch.no_grad()
def normalise_classifier(network: Backbone) -> None:
    """Give the rows of the network's classifier length 1, in place; biases stay."""
    weight = linear_classifier(network).weight
    weight.copy_(tau_normalised(weight, 1.0))
