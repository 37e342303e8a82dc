"""Weights from a checkpoint, ours or an original author's."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import NamedTuple

from torch import Tensor, nn

from longtail.backbones.base import Backbone
from longtail.errors import UserError

_WRAPPER = "module."  # what DataParallel and DistributedDataParallel put before every name
_COUNTER = "num_batches_tracked"  # absent from checkpoints older than torch 0.4.1, and without effect on the result


def load_backbone_weights(model: nn.Module, state_dict: Mapping[str, Tensor]) -> None:
    """Copy the weights of a checkpoint into the model; every name and shape must fit.

    Args:
        model: any module; it stays untouched when the weights do not fit.
        state_dict: names to tensors, with or without the prefix of a parallel wrapper.

    Raises:
        UserError: the checkpoint is of another model; names the first difference.
    """
    weights = {name.removeprefix(_WRAPPER): tensor for name, tensor in state_dict.items()}
    difference = _first_difference(model.state_dict(), weights)
    if difference is not None:
        raise UserError(
            f"a checkpoint of another model: {difference}.\nChoose the arch, head and number of classes that it was made with."
        )
    model.load_state_dict(weights)


class Loaded(NamedTuple):
    """What became of the weights of a checkpoint.

    taken: names that were copied.
    missing: names of the model that the checkpoint does not have.
    misshapen: names that both have, in different shapes.
    surplus: names that the model does not have.
    """

    taken: list[str]
    missing: list[str]
    misshapen: list[str]
    surplus: list[str]


def load_matching_weights(model: nn.Module, state_dict: Mapping[str, Tensor], *, leave_out: Container[str] = ()) -> Loaded:
    """Copy those weights of a checkpoint into the model whose name and shape fit, as one begins with pretrained weights.

    Args:
        model: any module.
        state_dict: names to tensors, with or without the prefix of a parallel wrapper.
        leave_out: names of the model that keep their values whatever the checkpoint has, such as the classifier's.

    Raises:
        UserError: nothing fits.
    """
    weights = {name.removeprefix(_WRAPPER): tensor for name, tensor in state_dict.items()}
    own = {name: tensor for name, tensor in model.state_dict().items() if name not in leave_out}
    both = [name for name in own if name in weights]
    taken = [name for name in both if weights[name].shape == own[name].shape]
    if not taken:
        raise UserError(
            f"a checkpoint of another model: it has nothing of this one, but {', '.join(list(weights)[:3]) or 'no weights'}"
        )
    model.load_state_dict({name: weights[name] for name in taken}, strict=False)
    return Loaded(
        taken,
        [name for name in own if name not in weights and not name.endswith(_COUNTER)],
        [name for name in both if name not in taken],
        [name for name in weights if name not in own and name not in leave_out],
    )


def begin_with(network: Backbone, state_dict: Mapping[str, Tensor]) -> Loaded:
    """Begin with pretrained weights, as far as they fit; the classifier keeps its own.

    Args:
        network: what is to be trained.
        state_dict: see `load_matching_weights`.

    Raises:
        UserError: nothing fits.
    """
    above = next(name for name, module in network.named_modules() if module is network.classifier)
    own = {f"{above}.{name}" for name in network.classifier.state_dict()}
    return load_matching_weights(network, state_dict, leave_out=own)


def _first_difference(expected: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> str | None:
    for name, tensor in expected.items():
        if name not in weights:
            if name.endswith(_COUNTER):
                continue
            return f"it has no {name}"
        if weights[name].shape != tensor.shape:
            return f"its {name} has shape {tuple(weights[name].shape)}, the model's has {tuple(tensor.shape)}"
    surplus = next((name for name in weights if name not in expected), None)
    return None if surplus is None else f"it has {surplus}, the model has not"
