"""What a vision transformer begins with: the weights of a masked autoencoder, of LiVT, or of an earlier run."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn

from longtail.backbones import Loaded, load_matching_weights
from longtail.errors import UserError
from longtail.randomness import Randomness
from longtail.training.checkpoint import load_plain
from longtail_cadel.cascade import Cascade
from longtail_cadel.names import BEST, FEATURES, LATEST

_POSITIONS = "pos_embed"
_CONTAINERS = ("model", BEST, LATEST)  # the first is that of MAE and LiVT
_ELSEWHERE = ("head.", "aux", "norm.", "decoder_", "mask_token")
"""Beginnings of names that such files have and a trunk has not: classifiers, MAE's last norm and its decoder."""
_HEAD_STD = 2e-5
_SHOWN = 4


class Pretrained(NamedTuple):
    """What became of a file of pretrained weights.

    path: of the file that was read.
    loaded: by names of the trunk.
    resized: patches along a side in the file and in the network, or None where the position embedding fitted.
    """

    path: Path
    loaded: Loaded
    resized: tuple[int, int] | None

    def in_words(self) -> str:
        """One line for the log."""
        said = [f"began with {len(self.loaded.taken)} tensors of {self.path}"]
        if self.resized is not None:
            old, new = self.resized
            said.append(f"position embedding resized from {old} x {old} to {new} x {new} patches")
        for what, names in (
            ("not in the file, so as initialised", self.loaded.missing),
            ("of another shape, so as initialised", self.loaded.misshapen),
            ("not in the network, so left out", self.loaded.surplus),
        ):
            if names:
                more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
                said.append(f"{what}: {', '.join(names[:_SHOWN])}{more}")
        return "; ".join(said)


def load_pretrained(network: Cascade, path: str | Path, *, seed: int) -> Pretrained:
    """Begin with the trunk of a file; the classifiers of the file are never taken, and the last head's weights are drawn anew.

    They are drawn with a standard deviation of 2e-5. A cosine does not depend on their length, but with AdamW their direction
    changes the faster the shorter they are.

    Args:
        network: on a `VisionTransformer`, on the CPU. Its auxiliary heads stay as they are.
        path: a file of MAE, LiVT or timm, of the paper's code or of a run of this project, for any image size. Where there is
            none of this name, that name without spaces is tried.
        seed: of the head's weights.

    Raises:
        UserError: there is no such file, it is damaged or holds more than plain data, or nothing in it fits.
        ValueError: the trunk is no vision transformer.
    """
    # imports timm, which has been imported to make the trunk
    from longtail.backbones.vision_transformer import VisionTransformer

    trunk = network.trunk
    if not isinstance(trunk, VisionTransformer):
        raise ValueError(f"pretrained weights are those of a vision transformer, not of {type(trunk).__name__}")
    found = _found(Path(path))
    # MAE keeps the options of its command beside the weights
    weights = _trunk_weights(load_plain(found, allowed=[argparse.Namespace]))
    resized = _fit_positions(weights, trunk)
    try:
        loaded = load_matching_weights(trunk, weights)
    except UserError as error:
        raise UserError(f"{found}: {error}") from error
    nn.init.normal_(network.head.weight, std=_HEAD_STD, generator=Randomness(seed).torch_generator("head"))
    return Pretrained(found, loaded, resized)


def _found(path: Path) -> Path:
    # the paper's configurations name a file "iNat18_ Res_128.pth"
    for each in (path, path.with_name(path.name.replace(" ", ""))):
        if each.is_file():
            return each
    raise UserError(
        f"no pretrained weights at '{path}', which networks.feat_model.params.checkpoint of the configuration names: the file "
        "of a masked autoencoder that the vision transformer begins with.\n"
        "Put it there, or begin with random weights, which reaches less: --no_pretrained"
    )


def _trunk_weights(content: Any) -> dict[str, Tensor]:
    """The tensors of a file under the trunk's names, as far as they can belong to a trunk."""
    for key in (*_CONTAINERS, FEATURES):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping):
        return {}
    named = {name.removeprefix("module.").removeprefix("trunk."): value for name, value in content.items()}
    return {name: value for name, value in named.items() if isinstance(value, Tensor) and not name.startswith(_ELSEWHERE)}


def _fit_positions(weights: dict[str, Tensor], trunk: nn.Module) -> tuple[int, int] | None:
    """Resize the position embedding among the weights to that of the trunk; one that is no embedding stays as it is."""
    from longtail.backbones.vision_transformer import resized_position_embedding

    old, own = weights.get(_POSITIONS), trunk.get_parameter(_POSITIONS)
    if old is None or old.shape == own.shape:
        return None
    grid = math.isqrt(own.shape[1] - 1)
    try:
        weights[_POSITIONS] = resized_position_embedding(old, grid)
    except ValueError:
        return None
    return math.isqrt(old.shape[1] - 1), grid
