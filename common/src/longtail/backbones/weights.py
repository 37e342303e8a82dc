"""Weights from a checkpoint, ours or an original author's."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

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
