import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import nn

from longtail.backbones import ProjectionResNet, create_backbone, load_backbone_weights

LAYERS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


def on_meta(depth, num_classes, *, large_stem=False, head="linear"):
    """The network without numbers."""
    with torch.device("meta"):
        return ProjectionResNet(
            LAYERS[depth], bottleneck=depth >= 50, large_stem=large_stem, num_classes=num_classes, head=head
        )


def drawn(name, num_classes):
    """The network of the published vectors: normal weights that depend on the place among all entries."""
    model = create_backbone(name, num_classes=num_classes, seed=0).double().eval()
    with torch.no_grad():
        for place, entry in enumerate(model.state_dict().values()):
            if entry.ndim >= 2:
                values = np.random.RandomState(1000 + place).standard_normal(entry.shape)
                entry.copy_(torch.from_numpy(values / np.sqrt(entry[0].numel())))
        model.classifier.bias.zero_()
    return model


def pictures(side):
    return torch.from_numpy(np.random.RandomState(0).standard_normal((2, 3, side, side)))


def published(values):
    return pytest.approx(values, rel=1e-9)


@pytest.mark.parametrize(("num_classes", "last", "total"), [(10, -1.146442036, 4.321790156), (100, -2.713719855, -6.849469106)])
@torch.no_grad()
def test_resnet34_is_that_of_the_published_code(num_classes, last, total):
    model = drawn("cifar_resnet34", num_classes)
    assert model.conv1.weight[0, 0, 0, 0].item() == published(-0.1548180727)
    features, logits = model.features(pictures(32)), model(pictures(32))
    assert features.mean().item() == published(1.616594249)
    assert features[0, :3].tolist() == published([1.905254776, 1.303964184, 3.683822027])
    assert logits[0, :3].tolist() == published([3.547847081, -1.144499824, -0.3246641884])
    assert logits[1, -1].item() == published(last)
    assert logits.sum().item() == published(total)


@torch.no_grad()
def test_resnet50_is_that_of_the_published_code_but_for_its_pooling():
    """The published code averages the first 4 x 4 of 7 x 7 cells, which its numbers show; ours averages all of them."""
    model = drawn("resnet50_plain", 8142)
    assert model.conv1.weight[0, 0, 0, 0].item() == published(-0.06635060258)
    maps = []
    hook = model.layer4.register_forward_hook(lambda _module, _inputs, output: maps.append(output))
    features = model.features(pictures(224))
    hook.remove()
    assert features.mean().item() == published(1.062731163)
    torch.testing.assert_close(features, maps[0].mean(dim=(2, 3)))

    corner = F.avg_pool2d(maps[0], 4).flatten(1)
    assert corner.mean().item() == published(0.9981570742)
    assert corner[0, :3].tolist() == published([0.4204935647, 1.01702328, 0.7907947524])
    logits = model.classifier(corner)
    assert logits[0, :3].tolist() == published([1.047069943, -0.6793427891, -2.145719158])
    assert logits[1, -1].item() == published(1.066511693)
    assert logits.sum().item() == published(-210.4067119)


@torch.no_grad()
def test_resnet32_with_option_a_is_that_of_the_published_code():
    logits = drawn("resnet32", 100)(pictures(32))
    assert logits[0, 0].item() == published(-2.987776054)
    assert logits.sum().item() == published(-27.61061244)


@pytest.mark.parametrize(
    ("depth", "num_classes", "large_stem", "parameters"),
    [
        (18, 10, False, 11_173_962),
        (34, 10, False, 21_282_122),
        (34, 100, False, 21_328_292),
        (50, 8142, True, 40_190_990),
        (101, 10, False, 42_512_970),
        (152, 10, False, 58_156_618),
    ],
)
def test_number_of_parameters(depth, num_classes, large_stem, parameters):
    model = on_meta(depth, num_classes, large_stem=large_stem)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
    assert model.num_features == model.classifier.in_features == (2048 if depth >= 50 else 512)


@pytest.mark.parametrize(("depth", "convolutions", "entries"), [(34, 2, 218), (50, 3, 320)])
def test_names_are_those_of_published_checkpoints(depth, convolutions, entries):
    def with_norm(weight, norm):
        return [f"{weight}.weight", *(f"{norm}.{name}" for name in statistics)]

    statistics = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    expected = with_norm("conv1", "bn1")
    for stage, blocks in enumerate(LAYERS[depth], 1):
        for block in (f"layer{stage}.{i}" for i in range(blocks)):
            for n in range(1, convolutions + 1):
                expected += with_norm(f"{block}.conv{n}", f"{block}.bn{n}")
            if block.endswith(".0") and block not in (["layer1.0"] if depth == 34 else []):
                expected += with_norm(f"{block}.shortcut.0", f"{block}.shortcut.1")
    expected += ["fc.weight", "fc.bias"]
    names = list(on_meta(depth, 10).state_dict())
    assert names == expected
    assert len(names) == entries


def renamed(state):
    """torchvision's state dict under this network's names."""
    return {name.replace("downsample", "shortcut"): value for name, value in state.items()}


def gradients(model, images):
    """Logits, batch statistics and gradients of one training step."""
    logits = model.train()(images)
    F.cross_entropy(logits, torch.arange(len(images))).backward()
    return [logits.detach(), *model.buffers(), *(parameter.grad for parameter in model.parameters())]


@torch.no_grad()
def test_resnet50_plain_is_torchvisions_network_under_other_names():
    torch.manual_seed(3)
    reference = torchvision.models.resnet50(num_classes=5).eval()
    model = create_backbone("resnet50_plain", num_classes=5, seed=0).eval()
    load_backbone_weights(model, renamed(reference.state_dict()))
    assert list(model.state_dict()) == list(renamed(reference.state_dict()))
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(model(images), reference(images))


@pytest.mark.parametrize("bottleneck", [True, False])
def test_a_training_step_is_that_of_torchvision(bottleneck):
    torch.manual_seed(3)
    block = torchvision.models.resnet.Bottleneck if bottleneck else torchvision.models.resnet.BasicBlock
    reference = torchvision.models.ResNet(block, [1, 2, 1, 1], num_classes=5).double()
    model = ProjectionResNet((1, 2, 1, 1), bottleneck=bottleneck, large_stem=True, num_classes=5).double()
    load_backbone_weights(model, renamed(reference.state_dict()))
    images = torch.randn(4, 3, 64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(gradients(model, images), gradients(reference, images), rtol=1e-7, atol=1e-9)


def test_initial_weights_are_pytorchs_defaults_in_the_order_of_the_names():
    torch.manual_seed(5)
    model = ProjectionResNet((1, 1, 1, 1), bottleneck=True, large_stem=False, num_classes=7)
    torch.manual_seed(5)
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            found = {name: value.clone() for name, value in module.state_dict().items()}
            module.reset_parameters()
            assert found
            assert all(torch.equal(value, found[name]) for name, value in module.state_dict().items())


@pytest.mark.parametrize(("large_stem", "side", "cells"), [(False, 32, 4), (False, 64, 8), (True, 64, 2), (True, 224, 7)])
def test_the_stem_decides_how_many_cells_the_last_map_has(large_stem, side, cells):
    model = on_meta(18, 5, large_stem=large_stem)
    maps = []
    model.layer4.register_forward_hook(lambda _module, _inputs, output: maps.append(output))
    assert model(torch.empty(2, 3, side, side, device="meta")).shape == (2, 5)
    assert maps[0].shape == (2, 512, cells, cells)


@pytest.mark.parametrize("large_stem", [False, True])
@pytest.mark.parametrize("bottleneck", [False, True])
def test_channels_last_equals_contiguous(large_stem, bottleneck):
    torch.manual_seed(1)
    arguments = {"bottleneck": bottleneck, "large_stem": large_stem, "num_classes": 5}
    contiguous, channels_last = (ProjectionResNet((1, 1, 1, 1), **arguments).double() for _ in range(2))
    channels_last.load_state_dict(contiguous.state_dict())
    channels_last.to(memory_format=torch.channels_last)
    seen = []
    channels_last.layer4.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    side = 64 if large_stem else 16
    images = torch.randn(4, 3, side, side, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = gradients(channels_last, images.to(memory_format=torch.channels_last))
    torch.testing.assert_close(found, gradients(contiguous, images), rtol=1e-7, atol=1e-9)
    assert seen[0].shape[2:] == (2, 2)
    assert seen[0].is_contiguous(memory_format=torch.channels_last)


def test_a_training_step_under_bfloat16_autocast():
    images = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    model = create_backbone("cifar_resnet18", num_classes=5, seed=1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits, *others = gradients(model, images)
    assert logits.dtype == torch.bfloat16
    assert all(torch.isfinite(tensor).all() for tensor in others)
    exact = create_backbone("cifar_resnet18", num_classes=5, seed=1).train()(images)
    torch.testing.assert_close(logits.float(), exact, rtol=0.1, atol=0.1)
