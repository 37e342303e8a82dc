import io

import pytest
import torch
from published_networks import on_meta

from longtail.backbones import create_backbone, load_matching_weights
from longtail.backbones.vision_transformer import VisionTransformer
from longtail.errors import UserError
from longtail_cadel.names import LAYOUTS, fix, from_paper, in_networks, load_paper_weights, to_paper
from longtail_cadel.networks import KINDS, cascade_on

PLAIN = "resnet152-places"
"""The layout whose trunk has its own names, so that a small one can stand in for it."""


def cascade_of(layout):
    if layout in KINDS:
        return on_meta(layout, 5)
    trunk = VisionTransformer(image_size=32, patch_size=8, width=24, num_heads=4, num_classes=7)
    return cascade_on(trunk, num_classes=5, seed=0)


def small_cascade(seed=0, num_classes=5, name="resnet20"):
    return cascade_on(create_backbone(name, num_classes=7, seed=seed), num_classes=num_classes, seed=seed)


def states_equal(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def snapshot(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_names_go_there_and_back(layout):
    state = cascade_of(layout).state_dict()
    networks = to_paper(state, layout)
    assert tuple(networks) == LAYOUTS[layout].networks
    assert all(name.startswith("module.") for network in networks.values() for name in network)
    assert sum(len(network) for network in networks.values()) == len(state)
    back = from_paper({"state_dict_best": networks}, layout)
    assert back.keys() == state.keys()
    assert all(back[name] is value for name, value in state.items())


@pytest.mark.parametrize(
    ("layout", "names"),
    [
        (
            "resnet50",
            {
                "trunk.conv1.weight": ("feat_model", "conv1.weight"),
                "trunk.layer1.0.conv1.weight": ("feat_model", "layer1.layer1.0.conv1.weight"),
                "trunk.layer1.1.conv1.weight": ("feat_model", "layer1.layer2.0.conv1.weight"),
                "trunk.layer1.2.conv1.weight": ("feat_model", "layer1.layer2.block_2.conv1.weight"),
                "trunk.layer2.1.bn3.bias": ("feat_model", "layer2.layer1.block_1.bn3.bias"),
                "trunk.layer2.2.bn3.bias": ("feat_model", "layer2.layer2.0.bn3.bias"),
                "trunk.layer3.0.downsample.0.weight": ("feat_model", "layer3.layer1.0.downsample.0.weight"),
                "trunk.layer3.2.conv2.weight": ("feat_model", "layer3.layer1.block_2.conv2.weight"),
                "trunk.layer3.5.conv2.weight": ("feat_model", "layer3.layer2.block_5.conv2.weight"),
                "aux.0.preBlock.9.bias": ("feat_model", "aux_layer2.preBlock.9.bias"),
                "aux.1.FC.weight": ("feat_model", "aux_layer4.FC.weight"),
                "head.weight": ("classifier", "weight"),
            },
        ),
        (
            "resnext50",
            {
                "trunk.layer4.1.conv1.weight": ("feat_model", "layer4.layer2.0.conv1.weight"),
                "aux.0.seBlock.0.weight": ("feat_model", "aux_layer2.seBlock.0.weight"),
                "aux.1.seBlock.2.weight": ("feat_model", "aux_layer3.seBlock.2.weight"),
                "head.weight": ("classifier", "weight"),
            },
        ),
        (
            "resnet152-places",
            {
                "trunk.layer3.35.conv1.weight": ("feat_model", "layer3.35.conv1.weight"),
                "aux.0.preBlock.0.weight": ("classifier1", "preBlock.0.weight"),
                "aux.1.FC.weight": ("classifier2", "FC.weight"),
                "head.weight": ("classifier3", "weight"),
            },
        ),
        (
            "vit",
            {
                "trunk.cls_token": ("feat_model", "cls_token"),
                "trunk.patch_embed.proj.weight": ("feat_model", "patch_embed.proj.weight"),
                "trunk.blocks.11.attn.qkv.bias": ("feat_model", "blocks.11.attn.qkv.bias"),
                "trunk.fc_norm.weight": ("feat_model", "fc_norm.weight"),
                "aux.0.block_fn.1.mlp.fc2.weight": ("feat_model", "aux_layer1.block_fn.1.mlp.fc2.weight"),
                "aux.1.norm.weight": ("feat_model", "aux_layer2.norm.weight"),
                "aux.1.head.weight": ("feat_model", "aux_layer2.head.weight"),
                "head.weight": ("feat_model", "head.weight"),
            },
        ),
    ],
)
def test_names_are_the_papers(layout, names):
    state = cascade_of(layout).state_dict()
    networks = in_networks(state, layout)
    for name, (network, there) in names.items():
        assert networks[network][there] is state[name]


def saved(content):
    """As a file has it."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


def unwrapped(networks):
    return {
        network: {name.removeprefix("module."): value for name, value in state.items()} for network, state in networks.items()
    }


@pytest.mark.parametrize(
    "content",
    [
        lambda networks: {"epoch": 3, "state_dict": networks},
        lambda networks: {"epoch": 3, "best_epoch": 2, "state_dict_best": networks, "best_acc": 0.5, "centroids": None},
        lambda networks: {"state_dict_best": unwrapped(networks)},
        lambda networks: networks,
    ],
)
def test_the_papers_files_load(content):
    source, target = small_cascade(0), small_cascade(1)
    source.trunk.bn1.num_batches_tracked += 5
    load_paper_weights(target, saved(content(to_paper(source.state_dict(), PLAIN))), PLAIN)
    assert states_equal(source.state_dict(), target.state_dict())


def test_the_best_weights_are_preferred_to_the_latest():
    best, latest, target = (small_cascade(seed) for seed in range(3))
    content = {"state_dict": to_paper(latest.state_dict(), PLAIN), "state_dict_best": to_paper(best.state_dict(), PLAIN)}
    load_paper_weights(target, content, PLAIN)
    assert states_equal(best.state_dict(), target.state_dict())


def without(network, name):
    def remove(networks):
        del networks[network]["module." + name]

    return remove


def with_surplus(networks):
    networks["feat_model"]["module.fc.weight"] = torch.zeros(2)


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        (without("feat_model", "layer2.1.conv1.weight"), r"it has no trunk\.layer2\.1\.conv1\.weight"),
        (without("classifier3", "weight"), r"it has no head\.weight"),
        (lambda networks: networks.pop("classifier2"), r"it has no aux\.1\.preBlock\.0\.weight"),
        (with_surplus, r"it has trunk\.fc\.weight, the model has not"),
        (lambda networks: networks.update(classifier4={}), "it has classifier4, expected feat_model, classifier1, classifier2"),
        (
            lambda networks: networks.update(to_paper(small_cascade(num_classes=6).state_dict(), PLAIN)),
            r"its aux\.0\.FC\.weight has shape \(6, 128\), the model's has \(5, 128\)",
        ),
    ],
)
def test_a_file_of_another_network_is_refused_with_the_first_difference(change, difference):
    target = small_cascade(1)
    before = snapshot(target)
    networks = to_paper(small_cascade(0).state_dict(), PLAIN)
    change(networks)
    with pytest.raises(UserError, match=difference):
        load_paper_weights(target, {"state_dict_best": networks}, PLAIN)
    assert states_equal(before, target.state_dict())


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ({"state_dict": {"trunk.conv1.weight": torch.zeros(1)}}, "trunk.conv1.weight"),
        ({"state_dict_best": None}, "state_dict_best"),
        ({"state_dict": {"feat_model": torch.zeros(1)}}, "feat_model"),
        ({}, "nothing"),
    ],
)
def test_a_file_without_networks_says_what_it_has(content, found):
    with pytest.raises(UserError, match=rf"it has {found}, expected feat_model, classifier$"):
        from_paper(content, "resnet50")


def test_files_without_batch_counters_load():
    source, target = small_cascade(0), small_cascade(1)
    networks = to_paper({name: value for name, value in source.state_dict().items() if "num_batches" not in name}, PLAIN)
    load_paper_weights(target, networks, PLAIN)
    assert states_equal(source.state_dict(), target.state_dict())


def test_a_part_of_the_networks_can_be_taken():
    source, target = small_cascade(0), small_cascade(1)
    networks = to_paper(source.state_dict(), PLAIN)
    part = from_paper({"state_dict_best": {"feat_model": networks["feat_model"]}}, PLAIN)
    loaded = load_matching_weights(target, part)
    assert {name.split(".")[0] for name in loaded.taken} == {"trunk"}
    assert {name.split(".")[0] for name in loaded.missing} == {"aux", "head"}
    assert states_equal(source.trunk.state_dict(), target.trunk.state_dict())


@pytest.mark.parametrize(
    ("layout", "network", "trained"),
    [
        ("resnet50", "feat_model", {"aux", "head"}),
        ("resnet50", "classifier", {"trunk", "aux"}),
        (PLAIN, "feat_model", {"aux", "head"}),
        (PLAIN, "classifier3", {"trunk", "aux"}),
    ],
)
def test_a_fixed_network_is_trained_no_more(layout, network, trained):
    cascade = cascade_of(layout)
    fix(cascade, network, layout)
    parts = {name.split(".")[0]: set() for name, _ in cascade.named_parameters()}
    for name, parameter in cascade.named_parameters():
        parts[name.split(".")[0]].add(parameter.requires_grad)
    assert parts == {part: {part in trained} for part in ("trunk", "aux", "head")}


def test_a_fixed_transformer_trains_what_is_called_fc():
    cascade = cascade_of("vit")
    fix(cascade, "feat_model", "vit")
    trained = {name for name, parameter in cascade.named_parameters() if parameter.requires_grad}
    assert trained == {name for name, _ in cascade.named_parameters() if "fc" in name}
    assert len(trained) == 4 * 12 + 2 + 2 * 2 * 4
