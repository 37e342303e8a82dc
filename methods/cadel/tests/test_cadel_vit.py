"""The cascade on a vision transformer: the paper's numbers and sizes, and the auxiliary head by itself."""

from functools import partial

import pytest
import torch
from published_networks import fill_cascade, published_input
from torch import nn

from longtail.backbones import seeded_weights
from longtail.backbones.vision_transformer import VisionTransformer, patch_mean
from longtail_cadel.cascade import Cascade
from longtail_cadel.heads import SquashedCosine
from longtail_cadel.networks import cascade_on
from longtail_cadel.transformer_head import TransformerHead

TAPS = (7, 9)


def cascade(num_classes, *, width, num_heads, **options):
    """As the paper puts it together."""
    trunk = VisionTransformer(width=width, num_heads=num_heads, num_classes=num_classes, **options)
    aux = [TransformerHead(width, num_heads, num_classes=num_classes, make_head=SquashedCosine) for _ in TAPS]
    return Cascade(trunk, TAPS, aux, SquashedCosine(width, num_classes))


@torch.no_grad()
def test_a_small_network_has_the_published_logits():
    with seeded_weights(0):
        trunk = VisionTransformer(image_size=32, patch_size=8, width=24, num_heads=4, num_classes=5)
    network = cascade_on(trunk, num_classes=5, seed=0).double().eval()
    assert size(network) == 121_152
    fill_cascade(network, "vit")
    published = [
        [
            [8.3003525886, 0.0969916769, 2.1522460830, -0.4470929835, -2.0721867749],
            [8.2262020553, 0.2892914155, 2.1925009850, -0.3100413577, -2.2485320979],
            [7.9026917830, 0.7419644266, 1.4053217952, -0.6061430774, -2.3393486304],
        ],
        [
            [8.3795858375, -0.0734853451, 2.0433385211, -0.4664643088, -2.0104012740],
            [8.3028276301, 0.1167340106, 2.1000997196, -0.3560731238, -2.1835678256],
            [7.9521072420, 0.5929079319, 1.3361983623, -0.6559409120, -2.2732429746],
        ],
    ]
    expected = torch.tensor(published, dtype=torch.float64)
    torch.testing.assert_close(network(published_input(2, 3, 32, 32)), expected, rtol=0, atol=6e-11)


def size(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("side", "num_classes", "published"),
    [
        (224, 1000, 116_457_216),
        (224, 365, 114_994_176),
        (224, 8142, 132_912_384),
        (384, 1000, 116_749_056),
        (384, 8142, 133_204_224),
    ],
)
def test_published_numbers_of_parameters(side, num_classes, published):
    with torch.device("meta"):
        network = cascade(num_classes, image_size=side, width=768, num_heads=12)
    assert size(network) == published
    if num_classes == 1000:
        assert [size(head) for head in network.aux] == [14_945_280] * 2
        assert [size(head.norm) for head in network.aux] == [1536] * 2


def head(seed=0, **options):
    with seeded_weights(seed):
        return TransformerHead(24, 4, num_classes=5, make_head=options.pop("make_head", SquashedCosine), **options)


def tokens(count=6):
    return torch.randn(count, 17, 24, generator=torch.Generator().manual_seed(1))


def test_names_are_those_of_published_checkpoints():
    block = [f"{layer}.{kind}" for layer in ("norm1", "attn.qkv", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2") for kind in "wb"]
    expected = {f"block_fn.{index}.{name}" for index in (0, 1) for name in block} | {"norm.w", "norm.b", "head.w"}
    found = {name.removesuffix("eight").removesuffix("ias") for name in head().state_dict()}
    assert found == expected


def test_the_class_token_is_looked_at_but_not_averaged():
    model = head()
    torch.testing.assert_close(model(tokens()), model.head(model.block_fn(tokens())[:, 1:].mean(dim=1)))
    other = tokens()
    other[:, 0] *= -1  # a constant would be normed away
    assert not torch.allclose(model(other), model(tokens()))
    without = head(depth=0)
    torch.testing.assert_close(without(other), without.head(patch_mean(tokens())))


def test_everything_but_the_idle_norm_learns():
    model = head()
    nn.functional.cross_entropy(model(tokens()), torch.tensor([0, 1, 2, 3, 4, 0])).backward()
    learning = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert learning == {name for name, _ in model.named_parameters()} - {"norm.weight", "norm.bias"}
    assert all(parameter.grad.any() for name, parameter in model.named_parameters() if name in learning)


def test_initial_weights_are_torchs_default():
    model = head()
    for layer in model.block_fn.modules():
        if isinstance(layer, nn.Linear):
            bound = layer.in_features**-0.5  # uniform, of weights and biases alike
            assert 0.97 * bound < layer.weight.abs().max() <= bound
            assert 0.5 * bound < layer.bias.abs().max() <= bound


def test_the_classifier_is_what_it_is_told():
    model = head(make_head=partial(SquashedCosine, scale=2.0))
    assert model.head.weight.shape == (5, 24)
    assert model(tokens()).abs().max() <= 2


def test_drop_path_is_the_same_in_both_blocks_and_off_in_evaluation():
    model = head(drop_path=0.4)
    assert [each.drop_prob for block in model.block_fn for each in (block.drop_path1, block.drop_path2)] == [0.4] * 4
    assert torch.equal(model.eval()(tokens()), head().eval()(tokens()))


def test_recomputing_changes_nothing():
    results = []
    for checkpointing in (False, True):
        torch.manual_seed(2)
        model = head(drop_path=0.5, checkpointing=checkpointing)
        logits = model(tokens())
        nn.functional.cross_entropy(logits, torch.tensor([0, 1, 2, 3, 4, 0])).backward()
        results.append([logits, *(parameter.grad for parameter in model.parameters() if parameter.requires_grad)])
    assert all(torch.equal(*pair) for pair in zip(*results, strict=True))
