"""Stage one of the large data sets: a ResNet-50 that somebody has trained, whose features stay as they are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from longtail.backbones import Backbone, create_backbone, load_backbone_weights
from longtail.errors import UserError
from longtail.training.checkpoint import load_plain
from longtail_dpa_ei.experiments import Experiment

ARCH = "resnet50"
RANDOM = "random"
_WRAPPER = "module."


def find(experiment: Experiment, given: str | None) -> Path | None:
    """The checkpoint to start from; None for random weights, which somebody must have asked for.

    Args:
        experiment: whose paths are looked at where none is given.
        given: the path, or `random`.

    Raises:
        UserError: there is no such file.
    """
    if given == RANDOM:
        return None
    candidates = [Path(path) for path in ([given] if given else experiment.stage1)]
    found = next((path for path in candidates if path.is_file()), None)
    if found is None:
        looked = " nor ".join(map(str, candidates))
        raise UserError(
            f"there is {'no' if given else 'neither'} {looked}: this trains a classifier on the features of a ResNet-50 that "
            f"was trained on {experiment.title} before.\nName its checkpoint with --stage1 PATH: {experiment.stage1_source}, "
            f"or the ckpt.best.pth.tar of `longtail train erm --backbone {ARCH}`; --stage1 {RANDOM} rehearses without one."
        )
    return found


def create_network(path: Path | None, num_classes: int, seed: int) -> Backbone:
    """The ResNet-50 with its classifier, on the CPU.

    Args:
        path: a checkpoint of classifier-balancing's or of ours; None for random weights.
        num_classes: C.
        seed: of the random weights.

    Raises:
        UserError: the file is none of these, or belongs to another network or number of classes.
    """
    network = create_backbone(ARCH, num_classes=num_classes, seed=seed)
    if path is not None:
        content = load_plain(path)
        try:
            load_backbone_weights(network, _flat(content))
        except UserError as error:
            raise UserError(f"{path}: {error}") from error
    return network


def _flat(content: Any) -> dict[str, Tensor]:
    """One `state_dict` under torchvision's names: classifier-balancing keeps features and classifier apart."""
    if not isinstance(content, Mapping):
        raise UserError("not a checkpoint")
    state = content.get("state_dict_best", content.get("state_dict"))
    if not isinstance(state, Mapping):
        raise UserError("it has neither 'state_dict_best' nor 'state_dict'")
    parts = [state[name] for name in ("feat_model", "feature", "classifier") if isinstance(state.get(name), Mapping)] or [state]
    return {name.removeprefix(_WRAPPER): value for part in parts for name, value in part.items()}
