import pytest
import torch

from longtail.backbones import BACKBONES, CIFAR_BACKBONES, IMAGENET_BACKBONES, VIT_BACKBONES, check_size, create_backbone
from longtail.errors import UserError


def same(first, second):
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("name", [name for name in CIFAR_BACKBONES if name != "resnet1202"])
@pytest.mark.parametrize("head", ["linear", "cosine"])
@torch.no_grad()
def test_every_name_for_cifar_makes_a_network(name, head):
    model = create_backbone(name, num_classes=7, head=head, seed=0).eval()
    images = torch.zeros(2, 3, 8, 8)
    assert model(images).shape == (2, 7)
    assert model.features(images).shape == (2, model.num_features)


@pytest.mark.parametrize("name", [name for name in BACKBONES if name != "resnet1202"])
def test_logits_are_what_the_classifier_makes_of_the_features(name):
    sized = {"image_size": 32} if name in VIT_BACKBONES else {}
    with torch.device("meta"):
        model = BACKBONES[name](num_classes=7, **sized)
    assert model.classifier.weight.shape == (7, model.num_features)
    received = []
    model.classifier.register_forward_hook(lambda _module, inputs, output: received.append((inputs[0].shape, output)))
    images = torch.empty(2, 3, 32, 32, device="meta")
    logits = model(images)
    assert received[0][0] == model.features(images).shape == (2, model.num_features)
    assert received[0][1] is logits


def test_the_published_names_are_there_in_their_families():
    assert set(CIFAR_BACKBONES) >= {"resnet20", "resnet32", "resnet44", "resnet56", "resnet110", "resnet1202"}
    assert set(CIFAR_BACKBONES) >= {"cifar_resnet18", "cifar_resnet34", "cifar_resnet50"}
    assert set(IMAGENET_BACKBONES) >= {
        "resnet50_plain",
        "resnet50",
        "resnet152",
        "resnext50_32x4d",
        "resnext101_32x8d",
        "wide_resnet50_2",
    }
    assert set(VIT_BACKBONES) == {"vit_tiny_patch16", "vit_small_patch16", "vit_base_patch16"}
    assert {**CIFAR_BACKBONES, **IMAGENET_BACKBONES, **VIT_BACKBONES} == BACKBONES


@pytest.mark.parametrize("name", ["resnet20", "resnet18", "vit_tiny_patch16"])
@pytest.mark.parametrize("head", ["linear", "cosine"])
def test_initial_weights_are_a_function_of_the_seed(name, head):
    model = create_backbone(name, num_classes=7, head=head, seed=2**62)
    torch.manual_seed(123)
    torch.rand(5)
    assert same(model, create_backbone(name, num_classes=7, head=head, seed=2**62))
    assert not same(model, create_backbone(name, num_classes=7, head=head, seed=1))


def test_the_callers_random_state_stays():
    before = torch.get_rng_state()
    create_backbone("resnet20", num_classes=7, seed=0)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_callers_default_device_is_not_used():
    with torch.device("meta"):
        model = create_backbone("resnet20", num_classes=7, seed=0)
    assert same(model, create_backbone("resnet20", num_classes=7, seed=0))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_random_state_of_the_gpu_stays():
    before = torch.cuda.get_rng_state()
    create_backbone("resnet20", num_classes=7, seed=0)
    assert torch.equal(torch.cuda.get_rng_state(), before)


def test_a_wrong_name_lists_the_right_ones_by_family():
    with pytest.raises(UserError) as error:
        create_backbone("resnet33", num_classes=7, seed=0)
    first, second = str(error.value).splitlines()
    assert first == "no backbone is called 'resnet33'; there are"
    assert second.startswith("for CIFAR: resnet20, resnet32, ")
    assert "; for ImageNet: resnet18, resnet34, resnet50, " in second
    assert "vit_base_patch16" in second


def test_a_vision_transformer_is_for_large_images():
    with pytest.raises(UserError, match=r"--arch vit_tiny_patch16 is a network for images of 224 pixels; for CIFAR-10 take x"):
        check_size("vit_tiny_patch16", small=True, title="CIFAR-10", instead="x")
    check_size("vit_tiny_patch16", small=False, title="ImageNet-LT", instead="x")


def test_a_wrong_head_lists_the_right_ones():
    with pytest.raises(UserError, match="no head is called 'norm'"):
        create_backbone("resnet20", num_classes=7, head="norm", seed=0)


def test_no_class_is_refused():
    with pytest.raises(UserError, match="at least one class, got 0"):
        create_backbone("resnet20", num_classes=0, seed=0)
