"""The names that the paper's checkpoints use: several networks, each with names of its own, for what is one cascade here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from torch import Tensor, nn

from longtail.backbones import load_backbone_weights
from longtail.errors import UserError
from longtail_cadel.cascade import Cascade

FEATURES = "feat_model"
"""What the paper calls the trunk, with the auxiliary heads where they are not networks of their own."""
BEST, LATEST = "state_dict_best", "state_dict"
"""Where the paper's files keep their networks: the final one those of the best epoch, the latest one those of that epoch."""
_WRAPPER = "module."

Value = TypeVar("Value")


class _Rule(NamedTuple):
    """A beginning of names here, and the network and the beginning there that it stands for."""

    here: str
    network: str
    there: str


class Layout(NamedTuple):
    """How the networks of a checkpoint divide a cascade.

    rules: of several that fit a name the longest counts.
    kept: parameters with one of these words in their name are trained even in a network that a configuration fixes.
    """

    rules: tuple[_Rule, ...]
    kept: tuple[str, ...]

    @property
    def networks(self) -> tuple[str, ...]:
        """The names of the networks."""
        return tuple(dict.fromkeys(rule.network for rule in self.rules))

    def there(self, name: str) -> tuple[str, str]:
        """The network and the name in it of what has this name here."""
        rule = max((rule for rule in self.rules if name.startswith(rule.here)), key=lambda rule: len(rule.here))
        return rule.network, rule.there + name.removeprefix(rule.here)

    def here(self, network: str, name: str) -> str:
        """The name here of what has this name in a network there."""
        fitting = (rule for rule in self.rules if rule.network == network and name.startswith(rule.there))
        rule = max(fitting, key=lambda rule: len(rule.there))
        return rule.here + name.removeprefix(rule.there)


def _halves(blocks: Sequence[int]) -> list[_Rule]:
    """The stages of the paper's own ResNets: two halves, each of which begins with block 0; the others keep their number."""
    rules = []
    for stage, count in enumerate(blocks, start=1):
        for block in range(count):
            half = 1 if block < count // 2 else 2
            place = "0" if block in (0, count // 2) else f"block_{block}"
            rules.append(_Rule(f"trunk.layer{stage}.{block}.", FEATURES, f"layer{stage}.layer{half}.{place}."))
    return rules


def _in_one(aux: Sequence[str], *rules: _Rule, kept: tuple[str, ...]) -> Layout:
    """The auxiliary heads inside the trunk's network, under these names."""
    heads = [_Rule(f"aux.{index}.", FEATURES, f"{name}.") for index, name in enumerate(aux)]
    return Layout((_Rule("trunk.", FEATURES, ""), *heads, *rules), kept)


_CLASSIFIER = _Rule("head.", "classifier", "")
_SPLIT = _halves((3, 4, 6, 3))

LAYOUTS = {
    "resnet50": _in_one(("aux_layer2", "aux_layer4"), *_SPLIT, _CLASSIFIER, kept=("aux",)),
    "resnext50": _in_one(("aux_layer2", "aux_layer3"), *_SPLIT, _CLASSIFIER, kept=("aux",)),
    "resnet152-places": Layout(
        (
            _Rule("trunk.", FEATURES, ""),
            _Rule("aux.0.", "classifier1", ""),
            _Rule("aux.1.", "classifier2", ""),
            _Rule("head.", "classifier3", ""),
        ),
        kept=("fc",),
    ),
    "vit": _in_one(("aux_layer1", "aux_layer2"), _Rule("head.", FEATURES, "head."), kept=("selfatt", "fc")),
}
"""The layouts by name; those of convolutional networks under the names of `networks.KINDS`."""


def in_networks(values: Mapping[str, Value], layout: str) -> dict[str, dict[str, Value]]:
    """What a cascade names (tensors, parameters), by network and by the paper's name.

    Args:
        values: by names of a `Cascade`.
        layout: a key of `LAYOUTS`.
    """
    networks: dict[str, dict[str, Value]] = {network: {} for network in LAYOUTS[layout].networks}
    for name, value in values.items():
        network, there = LAYOUTS[layout].there(name)
        networks[network][there] = value
    return networks


def to_paper(state_dict: Mapping[str, Tensor], layout: str) -> dict[str, dict[str, Tensor]]:
    """The networks of the paper's checkpoint: name to state dict, with the prefix of a parallel wrapper before every name.

    Args:
        state_dict: of a `Cascade`.
        layout: a key of `LAYOUTS`.
    """
    networks = in_networks(state_dict, layout)
    return {network: {_WRAPPER + name: value for name, value in state.items()} for network, state in networks.items()}


def from_paper(content: Mapping[str, Any], layout: str) -> dict[str, Tensor]:
    """The weights of the paper's checkpoint under the names of a `Cascade`, as many as there are.

    Args:
        content: of the file; the best weights are preferred to the latest. Names may have a parallel wrapper's prefix or not.
        layout: a key of `LAYOUTS`.

    Raises:
        UserError: it has no networks, or others.
    """
    content = next((content[key] for key in (BEST, LATEST) if isinstance(content.get(key), Mapping)), content)
    wanted = LAYOUTS[layout].networks
    networks = {name: state for name, state in content.items() if isinstance(state, Mapping)}
    if not networks:
        found = ", ".join(list(content)[:3]) or "nothing"
        raise UserError(f"a checkpoint without networks of CADEL: it has {found}, expected {', '.join(wanted)}")
    surplus = next((name for name in networks if name not in wanted), None)
    if surplus is not None:
        raise UserError(f"a checkpoint of another network: it has {surplus}, expected {', '.join(wanted)}")
    return {
        LAYOUTS[layout].here(network, name.removeprefix(_WRAPPER)): value
        for network, state in networks.items()
        for name, value in state.items()
    }


def load_paper_weights(cascade: Cascade, content: Mapping[str, Any], layout: str) -> None:
    """Copy the weights of the paper's checkpoint into a cascade; every name and shape must fit.

    Args:
        cascade: stays untouched when the weights do not fit.
        content: of the file, as for `from_paper`.
        layout: a key of `LAYOUTS`.

    Raises:
        UserError: the checkpoint is of another network; names the first difference.
    """
    load_backbone_weights(cascade, from_paper(content, layout))


def fix(cascade: Cascade, network: str, layout: str) -> None:
    """Stop training a network, as `fix: true` in the paper's configurations does: all but the parameters with certain names.

    Batch normalisation goes on to follow the batches.

    Args:
        cascade: whose parameters get no gradient any more.
        network: its name in the configuration.
        layout: a key of `LAYOUTS`.
    """
    parameters: dict[str, nn.Parameter] = in_networks(dict(cascade.named_parameters()), layout)[network]
    for name, parameter in parameters.items():
        if not any(word in name for word in LAYOUTS[layout].kept):
            parameter.requires_grad_(False)
