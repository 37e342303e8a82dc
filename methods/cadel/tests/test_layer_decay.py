"""Layer-wise learning rates: the published groups, and that no parameter is lost or doubled."""

from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from longtail.backbones.vision_transformer import VisionTransformer
from longtail.training.stage import create_adamw
from longtail_cadel.cascade import Cascade
from longtail_cadel.heads import SquashedCosine
from longtail_cadel.layer_decay import layer_of, parameter_groups
from longtail_cadel.transformer_head import TransformerHead

MULTIPLIERS = [
    0.023757264018,
    0.031676352024,
    0.042235136032,
    0.056313514709,
    0.075084686279,
    0.100112915039,
    0.133483886719,
    0.177978515625,
    0.2373046875,
    0.31640625,
    0.421875,
    0.5625,
    0.75,
    1,
]
"""By layer, for 12 blocks and a decay of 0.75."""

BLOCK = ((8, 9_984), (4, 7_077_888))
TAPPED = ((26, 31_488), (13, 22_001_664))
PUBLISHED = {
    0: ((3, 152_832), (1, 589_824)),
    **dict.fromkeys((1, 2, 3, 4, 5, 6, 8, 10, 11, 12), BLOCK),
    **dict.fromkeys((7, 9), TAPPED),
    13: ((2, 1_536), (1, 768_000)),
}
"""Layer to (tensors, elements) without and with weight decay, of ViT-B/16 at 224 px and 1000 classes."""
IDLE = (2, 1_536)  # the norm of an auxiliary head, which the paper's code hands to the optimiser in vain


@cache
def cascade(depth=12, taps=(7, 9), width=768, num_heads=12, num_classes=1000):
    with torch.device("meta"):
        trunk = VisionTransformer(width=width, num_heads=num_heads, depth=depth, num_classes=num_classes)
        aux = [TransformerHead(width, num_heads, num_classes=num_classes, make_head=SquashedCosine) for _ in taps]
        return Cascade(trunk, taps, aux, SquashedCosine(width, num_classes))


def counts(group):
    return len(group["params"]), sum(each.numel() for each in group["params"])


def test_published_groups_and_rates():
    groups = parameter_groups(cascade(), 5e-4, 0.05, 0.75)
    assert len(groups) == 28
    for layer, multiplier in enumerate(MULTIPLIERS):
        plain, decayed = groups[2 * layer : 2 * layer + 2]
        idle = IDLE if layer in (7, 9) else (0, 0)
        assert (plain["weight_decay"], decayed["weight_decay"]) == (0, 0.05)
        assert plain["lr"] == decayed["lr"] == pytest.approx(5e-4 * multiplier, rel=1e-10)
        (tensors, elements), with_decay = PUBLISHED[layer]
        assert counts(plain) == (tensors - idle[0], elements - idle[1])
        assert counts(decayed) == with_decay


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("trunk.cls_token", 0),
        ("trunk.pos_embed", 0),
        ("trunk.patch_embed.proj.bias", 0),
        ("trunk.blocks.0.norm1.weight", 1),
        ("trunk.blocks.11.mlp.fc2.bias", 12),
        ("trunk.fc_norm.weight", 13),
        ("head.weight", 13),
        ("aux.0.block_fn.1.norm1.weight", 7),
        ("aux.0.head.weight", 7),
        ("aux.1.block_fn.0.attn.qkv.weight", 9),
    ],
)
def test_the_layer_of_a_parameter(name, layer):
    assert layer_of(name, 12, (7, 9)) == layer


@given(depth=st.integers(1, 6), decay=st.floats(0.1, 1), data=st.data())
@settings(derandomize=True, deadline=None, max_examples=15)
def test_every_parameter_that_learns_is_in_one_group(depth, decay, data):
    taps = tuple(sorted(data.draw(st.sets(st.integers(0, depth - 1), max_size=2))))
    network = cascade(depth, taps, width=8, num_heads=2, num_classes=3)
    groups = parameter_groups(network, 0.1, 0.05, decay)
    found = [id(each) for group in groups for each in group["params"]]
    assert len(found) == len(set(found))
    assert set(found) == {id(each) for each in network.parameters() if each.requires_grad}
    for group in groups:
        assert group["params"]
        assert 0 < group["lr"] <= 0.1
        if group["weight_decay"]:
            assert all(each.ndim > 1 for each in group["params"])
    rates = [group["lr"] for group in groups]
    assert rates == sorted(rates)
    assert rates[-1] == 0.1


def test_positions_and_class_token_do_not_decay():
    network = cascade(2, (0,), width=8, num_heads=2, num_classes=3)
    plain = parameter_groups(network, 0.1, 0.05, 0.5)[0]
    assert plain["weight_decay"] == 0
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    assert {names[id(each)] for each in plain["params"] if each.ndim > 1} >= {"trunk.cls_token", "trunk.pos_embed"}


def test_an_optimiser_takes_them_as_they_are():
    network = cascade(2, (0,), width=8, num_heads=2, num_classes=3)
    groups = parameter_groups(network, 0.1, 0.05, 0.5)
    optimiser = create_adamw(groups, lr=0.1, weight_decay=0.05, betas=(0.9, 0.99))
    assert [(each["lr"], each["weight_decay"]) for each in optimiser.param_groups] == [
        (each["lr"], each["weight_decay"]) for each in groups
    ]


def test_what_is_frozen_is_left_out():
    with torch.device("meta"):
        trunk = VisionTransformer(width=8, num_heads=2, depth=2, num_classes=3)
        network = Cascade(trunk, (), [], SquashedCosine(8, 3))
    trunk.requires_grad_(False)
    (group,) = parameter_groups(network, 0.1, 0.05, 0.5)
    assert group["params"] == [network.head.weight]
