import pytest
import torch

from longtail.backbones import CifarResNet, CosineLinear, create_backbone
from longtail.backbones.cifar_resnet import shortcut_a


def filled(head="linear"):
    """ResNet-32 of the published vectors: waves for weights, fresh statistics, no classifier bias."""
    model = create_backbone("resnet32", num_classes=10, head=head, seed=0).double().eval()
    matrices = [parameter for parameter in model.parameters() if parameter.ndim >= 2]
    assert len(matrices) == 32
    with torch.no_grad():
        for k, parameter in enumerate(matrices):
            index = torch.arange(parameter.numel(), dtype=torch.float64)
            parameter.copy_((0.05 * torch.cos(0.1 * index + k)).reshape(parameter.shape))
        if head == "linear":
            model.linear.bias.zero_()
    return model


IMAGES = torch.sin(0.01 * torch.arange(2 * 3 * 32 * 32, dtype=torch.float64)).reshape(2, 3, 32, 32)


@torch.no_grad()
def test_features_and_logits_of_the_published_code():
    model = filled()
    features, logits = model.features(IMAGES), model(IMAGES)
    expected = [3.773198210835837, 12.223849697793822, 11.304030557450576, 0.45471031261935074]
    assert features[0, :4].tolist() == pytest.approx(expected, rel=1e-12)
    assert features.sum().item() == pytest.approx(605.2328542016526, rel=1e-12)
    expected = [0.5744917023197758, 0.6132047782790409, 0.6435597734746401, 0.665142944389852, 0.6776601088982053]
    expected += [0.6809406560136129, 0.6749398713458552, 0.6597395465649818, 0.6355468645675582, 0.602691575540131]
    assert logits[0].tolist() == pytest.approx(expected, rel=1e-12)
    expected = [0.5431131229144075, 0.5809008737738366, 0.6107708513368602]
    assert logits[1, :3].tolist() == pytest.approx(expected, rel=1e-12)


@torch.no_grad()
def test_cosines_of_the_published_code():
    expected = [0.35870112707379515, 0.38182314652743166, 0.4012125344979179, 0.416707176909839]
    assert filled("cosine")(IMAGES)[0, :4].tolist() == pytest.approx(expected, rel=1e-12)


def test_shortcut_a_of_the_published_code():
    found = shortcut_a(torch.arange(32.0).reshape(1, 2, 4, 4), stride=2, channels=4)
    assert found.tolist() == [[[[0, 0], [0, 0]], [[0, 2], [8, 10]], [[16, 18], [24, 26]], [[0, 0], [0, 0]]]]
    found = shortcut_a(torch.ones(1, 16, 2, 2), stride=2, channels=32)
    assert found.flatten().tolist() == [0.0] * 8 + [1.0] * 16 + [0.0] * 8


def test_shortcut_a_keeps_channels_last():
    images = torch.randn(2, 16, 8, 8).to(memory_format=torch.channels_last)
    found = shortcut_a(images, stride=2, channels=32)
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(found, shortcut_a(images.contiguous(), stride=2, channels=32))


@pytest.mark.parametrize(
    ("depth", "num_classes", "head", "parameters"),
    [
        (20, 100, "linear", 275_572),
        (20, 100, "cosine", 275_472),
        (32, 100, "linear", 470_004),
        (32, 100, "cosine", 469_904),
        (32, 10, "linear", 464_154),
        (44, 10, "linear", 658_586),
        (56, 10, "linear", 853_018),
        (110, 10, "linear", 1_727_962),
        (1202, 10, "linear", 19_421_274),
    ],
)
def test_number_of_parameters(depth, num_classes, head, parameters):
    model = CifarResNet(depth, num_classes=num_classes, head=head)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters


@pytest.mark.parametrize("depth", [1, 2, 7, 33])
def test_other_depths_are_refused(depth):
    with pytest.raises(ValueError, match=f"6 n \\+ 2 layers, got {depth}"):
        CifarResNet(depth, num_classes=10)


def test_names_are_those_of_published_checkpoints():
    norm = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    expected = ["conv1.weight", *(f"bn1.{name}" for name in norm)]
    for block in (f"layer{stage}.{i}" for stage in (1, 2, 3) for i in range(5)):
        for n in (1, 2):
            expected += [f"{block}.conv{n}.weight", *(f"{block}.bn{n}.{name}" for name in norm)]
    expected += ["linear.weight", "linear.bias"]
    names = list(create_backbone("resnet32", num_classes=100, seed=0).state_dict())
    assert names == expected
    assert len(names) == 188


def step(model, images):
    """Logits, running statistics and gradients of one training step."""
    logits = model.train()(images)
    torch.nn.functional.cross_entropy(logits.float(), torch.arange(len(images)) % logits.shape[1]).backward()
    return [logits.detach(), *model.buffers(), *(parameter.grad for parameter in model.parameters())]


@pytest.mark.parametrize("head", ["linear", "cosine"])
def test_channels_last_equals_contiguous(head):
    images = torch.randn(4, 3, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    contiguous, channels_last = (create_backbone("resnet20", num_classes=5, head=head, seed=1).double() for _ in range(2))
    channels_last.to(memory_format=torch.channels_last)
    expected = step(contiguous, images)
    found = step(channels_last, images.to(memory_format=torch.channels_last))
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-10)


@torch.no_grad()
def test_channels_last_survives_to_the_last_stage():
    model = create_backbone("resnet20", num_classes=5, seed=1).to(memory_format=torch.channels_last).eval()
    seen = []
    model.layer3.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    model(torch.randn(2, 3, 32, 32).to(memory_format=torch.channels_last))
    assert seen[0].shape == (2, 64, 8, 8)
    assert seen[0].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(("head", "dtype"), [("linear", torch.bfloat16), ("cosine", torch.float32)])
def test_a_training_step_under_bfloat16_autocast(head, dtype):
    images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    model = create_backbone("resnet20", num_classes=5, head=head, seed=1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = step(model, images)
    assert found[0].dtype == dtype
    assert all(torch.isfinite(tensor).all() for tensor in found)
    expected = step(create_backbone("resnet20", num_classes=5, head=head, seed=1), images)
    torch.testing.assert_close(found[0].float(), expected[0], rtol=0.1, atol=0.1)


@torch.no_grad()
@pytest.mark.parametrize("side", [8, 32, 64])
def test_other_image_sizes_are_pooled_too(side):
    model = create_backbone("resnet20", num_classes=5, seed=1).eval()
    images = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    features = model.features(images)
    assert features.shape == (2, model.num_features)
    torch.testing.assert_close(model.linear(features), model(images))


def test_initial_weights_have_the_published_spread():
    model = create_backbone("resnet32", num_classes=100, seed=3)
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
            weight = module.weight.detach()
            fan_in = weight[0].numel()
            assert weight.std().item() == pytest.approx((2 / fan_in) ** 0.5, rel=0.15)
        if isinstance(module, torch.nn.BatchNorm2d):
            assert (module.weight == 1).all()
            assert (module.bias == 0).all()
    assert 0.1 < model.linear.bias.abs().max() <= 1 / 8


def test_initial_cosine_weights_are_unit_columns():
    head = create_backbone("resnet32", num_classes=100, head="cosine", seed=3).linear
    assert isinstance(head, CosineLinear)
    assert head.weight.shape == (64, 100)
    torch.testing.assert_close(head.weight.norm(dim=0), torch.ones(100))
