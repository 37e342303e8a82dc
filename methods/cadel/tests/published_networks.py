"""The paper's networks without initial weights: 165 million numbers are not drawn to count or to replace them."""

import numpy as np
import pytest
import torch

from longtail.backbones import BACKBONES
from longtail_cadel import names, networks

FACTOR = 2654435761
BLOCK = 2**16  # what stays in a cache


def on_meta(kind, num_classes):
    """The network without any numbers."""

    def create_backbone(name, *, num_classes, **_seed):
        with torch.device("meta"):
            return BACKBONES[name](num_classes=num_classes)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(networks, "create_backbone", create_backbone)
        patch.setattr(networks, "seeded_weights", lambda _seed: torch.device("meta"))
        return networks.create_cascade(kind, num_classes=num_classes, seed=0)


def materialised(module, dtype):
    """A module of the meta device on the CPU, in evaluation mode; parameters have no values yet."""
    module.to(dtype).to_empty(device="cpu").eval()
    for layer in module.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.reset_running_stats()
    return module


def fill(parameters):
    """Give parameters the values that the published vectors were computed with: a function of name and place.

    Args:
        parameters: by the paper's names.
    """
    multiples = np.arange(BLOCK, dtype=np.uint32) * np.uint32(FACTOR)
    for name, parameter in parameters.items():
        scale = (24 / parameter[0].numel()) ** 0.5 if parameter.ndim > 1 else 0.1
        offset = 1.0 if parameter.ndim == 1 and name.endswith("weight") else 0.0
        values = parameter.detach().view(-1).numpy()
        for start in range(0, len(values), BLOCK):
            block = values[start : start + BLOCK]
            shift = (FACTOR * start + 40503 * (sum(name.encode()) % 97)) % 2**32
            block[:] = (multiples[: len(block)] + np.uint32(shift)) * np.float64(scale / 2**32) + (offset - scale / 2)


def fill_cascade(cascade, layout):
    """Fill each of the paper's networks that a cascade consists of."""
    for parameters in names.in_networks(dict(cascade.named_parameters()), layout).values():
        fill(parameters)


def published_input(*shape):
    """The images or maps that the published vectors were computed with."""
    places = np.arange(np.prod(shape), dtype=np.int64)
    return torch.from_numpy(2 * ((1103515245 * places + 12345) % 2**31) / 2**31 - 1).view(shape)
