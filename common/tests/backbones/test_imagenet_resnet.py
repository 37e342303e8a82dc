import subprocess
import sys
from functools import cache

import pytest
import torch
import torchvision

from longtail.backbones import CIFAR_BACKBONES, IMAGENET_BACKBONES, CosineLinear, create_backbone
from longtail.errors import UserError

SIDE = 64
OF_TORCHVISION = [name for name in IMAGENET_BACKBONES if name != "resnet50_plain"]


def on_meta(name, num_classes=10, head="linear"):
    """The network without numbers: 50 million parameters are not drawn to count them."""
    with torch.device("meta"):
        return IMAGENET_BACKBONES[name](num_classes=num_classes, head=head)


def of_torchvision(name, num_classes=10):
    with torch.device("meta"):
        return getattr(torchvision.models, name)(num_classes=num_classes)


def size(module):
    return sum(parameter.numel() for parameter in module.parameters())


def shapes(model):
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


@cache
def images():
    return torch.randn(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", OF_TORCHVISION)
def test_every_name_makes_the_network_of_torchvision(name):
    model, reference = on_meta(name, 7).eval(), of_torchvision(name, 7)
    assert list(shapes(model).items()) == list(shapes(reference).items())
    assert [str(layer) for layer in model.children()] == [str(layer) for layer in reference.children()]
    batch = torch.empty(2, 3, SIDE, SIDE, device="meta")
    assert model(batch).shape == (2, 7)
    assert model.features(batch).shape == (2, model.num_features)
    assert model.num_features == (512 if name in ("resnet18", "resnet34") else 2048)


def test_number_of_parameters():
    model = on_meta("resnet50", 1000)
    assert size(model) == 25_557_032
    assert size(model) - size(model.fc) == 23_508_032
    assert size(on_meta("resnet50", 8142)) == 40_190_990
    assert size(on_meta("resnet50", 1000, "cosine")) == 23_508_032 + 2048 * 1000


def twins(name):
    torch.manual_seed(3)
    reference = getattr(torchvision.models, name)(num_classes=5)
    model = create_backbone(name, num_classes=5, seed=0)
    model.load_state_dict(reference.state_dict(), strict=True)
    return model, reference


def test_a_training_step_is_that_of_torchvision():
    model, reference = twins("resnet18")
    for network in (model, reference):
        torch.nn.functional.cross_entropy(network.train()(images()), torch.tensor([0, 3])).backward()
    for found, expected in zip(model.parameters(), reference.parameters(), strict=True):
        assert torch.equal(found.grad, expected.grad)
    for found, expected in zip(model.buffers(), reference.buffers(), strict=True):
        assert torch.equal(found, expected)


@torch.no_grad()
def test_logits_are_those_of_torchvision_with_the_same_weights():
    model, reference = twins("resnext50_32x4d")
    expected = reference.eval()(images())
    assert torch.equal(model.eval()(images()), expected)
    assert torch.equal(model.fc(model.features(images())), expected)


def test_initial_weights_are_those_of_torchvision():
    torch.manual_seed(5)
    expected = torchvision.models.resnet18(num_classes=10).state_dict()
    found = create_backbone("resnet18", num_classes=10, seed=5).state_dict()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@torch.no_grad()
def test_the_cosine_head_is_that_of_published_checkpoints():
    model = create_backbone("resnet18", num_classes=10, head="cosine", seed=1).eval()
    assert isinstance(model.fc, CosineLinear)
    assert [name for name in model.state_dict() if name.startswith("fc.")] == ["fc.weight"]
    assert model.fc.weight.shape == (512, 10)
    cosines = model(100 * images())
    assert cosines.shape == (2, 10)
    assert cosines.abs().max() <= 1 + 1e-6
    assert cosines.std() > 0


def test_channels_last_equals_contiguous():
    def step(model, batch):
        logits = model.double().train()(batch)
        torch.nn.functional.cross_entropy(logits, torch.tensor([0, 3])).backward()
        return [logits.detach(), *model.buffers(), *(parameter.grad for parameter in model.parameters())]

    contiguous, channels_last = (create_backbone("resnet18", num_classes=5, seed=1) for _ in range(2))
    channels_last.to(memory_format=torch.channels_last)
    seen = []
    channels_last.layer4.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    batch = images().double()
    found = step(channels_last, batch.to(memory_format=torch.channels_last))
    torch.testing.assert_close(found, step(contiguous, batch), rtol=1e-7, atol=1e-10)
    assert seen[0].shape == (2, 512, 2, 2)
    assert seen[0].is_contiguous(memory_format=torch.channels_last)


def test_a_wrong_head_lists_the_right_ones():
    with pytest.raises(UserError, match="no head is called 'norm'; choose one of linear, cosine"):
        create_backbone("resnet18", num_classes=5, head="norm", seed=0)


def test_torchvision_is_imported_for_its_networks_alone():
    code = (
        "import sys, torch; from longtail.backbones import BACKBONES\n"
        "with torch.device('meta'):\n"
        "    for name in ('resnet20', 'cifar_resnet18', 'resnet50_plain'):\n"
        "        BACKBONES[name](num_classes=5)\n"
        "    print('torchvision' in sys.modules)\n"
        "    BACKBONES['resnet50'](num_classes=5)\n"
        "    print('torchvision' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found == "False\nTrue\n"


def test_no_name_means_two_networks():
    assert not set(CIFAR_BACKBONES) & set(IMAGENET_BACKBONES)
