import pytest
import torch
import torch.nn.functional as F
from published_networks import fill, fill_cascade, materialised, on_meta, published_input
from torch import nn

from longtail.backbones import StagedBackbone, create_backbone
from longtail.backbones.vision_transformer import VisionTransformer
from longtail.errors import UserError
from longtail_cadel import networks
from longtail_cadel.cascade import Cascade
from longtail_cadel.convolutional_head import ConvolutionalHead
from longtail_cadel.heads import SquashedCosine
from longtail_cadel.networks import cascade_on, create_cascade


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def small_cascade(name="resnet20", num_classes=5, seed=0, **options):
    return cascade_on(create_backbone(name, num_classes=7, seed=seed), num_classes=num_classes, seed=seed, **options)


def size(module):
    return sum(parameter.numel() for parameter in module.parameters())


def close(found, expected, tolerance):
    torch.testing.assert_close(found.double(), torch.tensor(expected, dtype=torch.float64), rtol=0, atol=tolerance)


# The squashed cosine


def published_cosine():
    cosine = SquashedCosine(4, 3).double()
    cosine.weight.data = torch.tensor([[1, 2, -1, 0.5], [0, -1, 3, 1], [-2, 0.5, 0.5, -0.5]], dtype=torch.float64)
    return cosine


def test_logits_of_the_squashed_cosine_are_the_published_ones():
    features = torch.tensor([[1, 1, 1, 1], [0.1, -0.2, 0.3, 0.4], [10, 0, -5, 2]], dtype=torch.float64)
    expected = [
        [10.0000000000, 9.0453403373, -6.8824720161],
        [-3.1013310343, 8.7664358449, -3.1127868415],
        [15.5367250374, -9.5153883020, -26.1758361392],
    ]
    close(published_cosine()(features), expected, 5e-11)


def test_a_zero_feature_has_logits_0_and_finite_gradients():
    cosine = published_cosine()
    features = torch.zeros(2, 4, dtype=torch.float64, requires_grad=True)
    logits = cosine(features)
    assert torch.equal(logits, torch.zeros(2, 3, dtype=torch.float64))
    F.cross_entropy(logits, torch.tensor([0, 2])).backward()
    assert features.grad.isfinite().all()
    assert features.grad.abs().sum() > 0
    assert cosine.weight.grad.isfinite().all()


def test_the_squashed_cosine_keeps_float32_under_autocast():
    cosine, features = SquashedCosine(64, 10), noise(8, 64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(cosine(features), cosine(features.clone()))
        logits = cosine(features)
        from_half = cosine(features.bfloat16())
    assert logits.dtype == from_half.dtype == torch.float32
    assert torch.equal(logits, cosine(features))
    assert torch.equal(from_half, cosine(features.bfloat16().float()))


def test_weights_of_the_squashed_cosine_are_uniform():
    weight = SquashedCosine(10_000, 3).weight
    assert weight.shape == (3, 10_000)
    assert 0.0099 < weight.max() <= 0.01
    assert -0.01 <= weight.min() < -0.0099
    assert weight.std().item() == pytest.approx(0.01 / 3**0.5, rel=0.02)


# The convolutional head


@pytest.mark.parametrize(
    ("last_kernel", "parameters", "expected"),
    [
        (
            1,
            51_673_088,
            [
                [1.3814804656, -0.7187599915, 1.0055682706, -0.7172779474, 0.4518924676],
                [1.3124278106, -0.6812378655, 0.9657340787, -0.6851369060, 0.4292546154],
            ],
        ),
        (
            3,
            118_781_952,
            [
                [9.2981540679, -5.0345929803, 6.8849382038, -4.9593578559, 4.4319892003],
                [6.8429088169, -3.5308185399, 4.9031088519, -3.6790428980, 2.8773601270],
            ],
        ),
    ],
)
@torch.no_grad()
def test_a_convolutional_head_is_the_published_one(last_kernel, parameters, expected):
    with torch.device("meta"):
        head = ConvolutionalHead(6, 5, last_kernel=last_kernel)
    assert size(head) == parameters
    materialised(head, torch.float64)
    fill(dict(head.named_parameters()))
    close(head(published_input(2, 6, 7, 7)), expected, 5e-10)


def small_head(last_kernel, **options):
    return ConvolutionalHead(4, 3, width=16, out_width=32, groups=4, last_kernel=last_kernel, **options).double()


@pytest.mark.parametrize("last_kernel", [1, 3])
@pytest.mark.parametrize("shape", [(1, 1), (2, 9), (6, 6)])
@torch.no_grad()
def test_small_maps_keep_their_size(last_kernel, shape):
    head, maps = small_head(last_kernel).eval(), noise(2, 4, *shape).double()
    sizes = []
    head.preBlock[-1].register_forward_hook(lambda _module, _inputs, output: sizes.append(output.shape[2:]))
    found = head(maps)
    assert sizes == [shape]
    for layer in head.preBlock:
        if isinstance(layer, nn.Conv2d):
            layer.padding = (layer.kernel_size[0] // 2,) * 2
    assert torch.equal(found, head(maps))


@pytest.mark.parametrize(("last_kernel", "expected"), [(1, (3, 6)), (3, (1, 4))])
def test_other_maps_shrink_as_the_papers_do(last_kernel, expected):
    head = small_head(last_kernel)
    sizes = []
    head.preBlock[-1].register_forward_hook(lambda _module, _inputs, output: sizes.append(tuple(output.shape[2:])))
    head(noise(2, 4, 7, 10).double())
    assert sizes == [expected]


def test_features_are_dropped_in_training_alone():
    head, maps = small_head(1, dropout=0.5), noise(2, 4, 8, 8).double()
    for layer in head.preBlock:
        layer.eval()  # batch statistics would differ, too
    assert not torch.equal(head(maps), head(maps))
    head.eval()
    assert torch.equal(head(maps), head(maps))


# The cascade


def test_a_cascade_gives_the_logits_of_each_head_in_one_pass():
    cascade, images = small_cascade().eval(), noise(2, 3, 32, 32)
    passes = []
    cascade.trunk.conv1.register_forward_hook(lambda *_: passes.append(1))
    logits = cascade(images)
    assert logits.shape == (2, 3, 5)
    assert (cascade.num_heads, cascade.num_classes, len(passes)) == (3, 5, 1)
    trunk = cascade.trunk
    first = trunk.layer1(trunk.stem(images))
    second = trunk.layer2(first)
    assert torch.equal(logits[:, 0], cascade.aux[0](first))
    assert torch.equal(logits[:, 1], cascade.aux[1](second))
    assert torch.equal(logits[:, 2], cascade.head(trunk.pooled(trunk.layer3(second))))


@pytest.mark.parametrize(("head", "reached"), [(0, {"conv1", "layer1"}), (1, {"conv1", "layer1", "layer2"})])
def test_the_gradient_of_each_head_flows_into_the_trunk(head, reached):
    cascade = small_cascade()
    cascade(noise(4, 3, 16, 16))[:, head].square().sum().backward()
    layers = {name: getattr(cascade.trunk, name) for name in ("conv1", "layer1", "layer2", "layer3")}
    assert {name for name, layer in layers.items() if next(layer.parameters()).grad.any()} == reached


def test_the_trunks_own_classifier_is_gone():
    cascade = small_cascade()
    names = list(cascade.state_dict())
    assert {name.split(".")[0] for name in names} == {"trunk", "aux", "head"}
    assert not any("linear" in name for name in names)
    assert isinstance(cascade.trunk.classifier, nn.Identity)


def test_a_cascade_without_auxiliary_heads_is_an_ordinary_network():
    trunk, images = create_backbone("resnet20", num_classes=5, seed=0), noise(2, 3, 16, 16)
    network = Cascade(trunk, [], [], SquashedCosine(64, 5))
    assert torch.equal(network.eval()(images)[:, 0], network.head(trunk.features(images)))


@pytest.mark.parametrize(
    ("taps", "message"),
    [
        ([0], "1 stages for 2 auxiliary heads"),
        ([1, 0], "from 0 to 2 in ascending order, got \\[1, 0\\]"),
        ([0, 3], "from 0 to 2"),
    ],
)
def test_heads_on_wrong_stages_are_refused(taps, message):
    trunk = create_backbone("resnet20", num_classes=5, seed=0)
    with pytest.raises(ValueError, match=message):
        Cascade(trunk, taps, [nn.Identity(), nn.Identity()], SquashedCosine(64, 5))


class Tokens(StagedBackbone):
    """What a transformer looks like from outside."""

    num_features = 8
    stage_widths = (8, 8, 8)

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 4, stride=4)
        self.blocks = nn.ModuleList(nn.Linear(8, 8) for _ in range(3))
        self.top = nn.ModuleDict({"head": nn.Linear(8, 5)})

    @property
    def classifier(self):
        return self.top["head"]

    @property
    def stages(self):
        return tuple(self.blocks)

    def stem(self, images):
        return self.patches(images).flatten(2).transpose(1, 2)

    def pooled(self, hidden):
        return hidden.mean(dim=1)


class TokenHead(SquashedCosine):
    def forward(self, tokens):
        return super().forward(tokens.mean(dim=1))


def test_a_cascade_takes_tokens():
    cascade = Cascade(Tokens(), [0, 2], [TokenHead(8, 5), TokenHead(8, 5)], SquashedCosine(8, 5))
    logits = cascade(noise(2, 3, 16, 16))
    assert logits.shape == (2, 3, 5)
    assert not any("top" in name for name in cascade.state_dict())
    tokens = cascade.trunk.blocks[0](cascade.trunk.stem(noise(2, 3, 16, 16)))
    assert torch.equal(logits[:, 0], cascade.aux[0](tokens))


# The networks


@pytest.mark.parametrize(
    ("kind", "num_classes", "trunk", "heads", "total"),
    [
        ("resnet50", 1000, 23_508_032, [65_075_200, 74_512_384, 2_048_000], 165_143_616),
        ("resnet50", 8142, 23_508_032, [94_328_832, 103_766_016, 16_674_816], 238_277_696),
        ("resnext50", 1000, 22_979_904, [65_075_200, 74_512_384, 2_048_000], 164_615_488),
        ("resnet152-places", 365, 58_143_808, [129_583_104, 139_020_288, 747_520], 327_494_720),
    ],
)
def test_numbers_of_parameters_are_the_published_ones(kind, num_classes, trunk, heads, total):
    cascade = on_meta(kind, num_classes)
    assert size(cascade.trunk) == trunk
    assert [size(head) for head in (*cascade.aux, cascade.head)] == heads
    assert size(cascade) == total


@pytest.mark.parametrize(
    ("kind", "features", "length", "logits"),
    [
        (
            "resnet50",
            [6.57767956, 0.21675353, 0.43985174, 0],
            99.38261961,
            [
                [1.46904979, -0.76670227, 1.05179461, -0.70957212, 0.48775633],
                [1.48478908, -0.75842068, 1.07259866, -0.71679988, 0.50722190],
                [1.17849284, -0.11197286, -0.61258332, -0.12389310, 0.81871087],
            ],
        ),
        (
            "resnext50",
            [8.91231968, 3.60799296, 0.00941865, 0.03075761],
            165.74164310,
            [
                [1.48114217, -0.76671926, 1.06119433, -0.71572552, 0.49268143],
                [1.42765225, -0.72609613, 1.03760099, -0.71009919, 0.47813543],
                [0.84995913, -0.07246953, -0.45242225, 0.01135359, 0.57741685],
            ],
        ),
    ],
)
@torch.no_grad()
def test_logits_are_the_published_ones(kind, features, length, logits):
    cascade = materialised(on_meta(kind, 5), torch.float32)  # the heads alone are compared to more digits
    fill_cascade(cascade, kind)
    seen = []
    cascade.head.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0][0]))
    close(cascade(published_input(1, 3, 224, 224).float())[0], logits, 1e-5)
    close(seen[0][:4], features, 1e-5 * length)
    close(seen[0].norm(), length, 1e-5 * length)


def small_transformer(**options):
    return VisionTransformer(image_size=32, patch_size=8, width=24, num_heads=4, num_classes=7, **options)


@torch.no_grad()
def test_logits_of_a_vision_transformer_are_the_published_ones():
    cascade = cascade_on(small_transformer(), num_classes=5, seed=0).double().eval()
    assert size(cascade) == 121_152
    fill_cascade(cascade, "vit")
    expected = [
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
    close(cascade(published_input(2, 3, 32, 32)), expected, 5e-10)


@pytest.mark.parametrize(("depth", "taps"), [(3, (1, 2)), (6, (3, 4)), (12, (7, 9))])
def test_heads_of_a_transformer_go_on_as_the_blocks_that_they_tap(depth, taps):
    cascade = cascade_on(small_transformer(depth=depth, drop_path=0.1, checkpointing=True), num_classes=5, seed=0, aux_depth=3)
    assert cascade.taps == taps
    for tap, head in zip(taps, cascade.aux, strict=True):
        assert [block.drop_path1.drop_prob for block in head.block_fn] == [pytest.approx(0.1 * tap / (depth - 1))] * 3
        assert all(block.checkpointing for block in head.block_fn)


def test_stages_of_another_kind_are_refused():
    with pytest.raises(ValueError, match="no auxiliary head is made for stages of Linear"):
        cascade_on(Tokens(), num_classes=5, seed=0)


@pytest.mark.parametrize(("name", "side"), [("resnet20", 8), ("resnet20", 32), ("resnet18", 64), ("cifar_resnet18", 8)])
def test_any_convolutional_backbone_takes_images_of_any_size(name, side):
    cascade = small_cascade(name)
    logits = cascade(noise(2, 3, side, side + 4))
    assert logits.shape == (2, 3, 5)
    logits.square().sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in cascade.parameters())


@pytest.mark.parametrize(("width", "groups"), [(64, 8), (512, 32), (2048, 32), (40, 1), (48, 2), (50, 1)])
def test_groups_are_at_most_32_and_not_too_narrow(width, groups):
    trunk = create_backbone("resnet20", num_classes=5, seed=0)
    trunk.num_features = width
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(networks, "seeded_weights", lambda _seed: torch.device("meta"))
        cascade = cascade_on(trunk, num_classes=5, seed=0)
    assert cascade.aux[0].preBlock[3].groups == groups


def test_heads_are_as_wide_as_the_trunk_asks():
    first, second = small_cascade("resnet20").aux
    assert [head.preBlock[0].in_channels for head in (first, second)] == [16, 32]
    assert (first.preBlock[3].out_channels, first.preBlock[3].groups, first.FC.weight.shape) == (64, 8, (5, 128))


def test_channels_last_equals_contiguous():
    contiguous, channels_last = (small_cascade(dropout=0.0).double() for _ in range(2))
    channels_last.to(memory_format=torch.channels_last)
    images = noise(4, 3, 16, 16).double()
    expected = contiguous(images)
    found = channels_last(images.to(memory_format=torch.channels_last))
    torch.testing.assert_close(found, expected)
    expected.square().sum().backward()
    found.square().sum().backward()
    for one, other in zip(channels_last.parameters(), contiguous.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-6, atol=1e-9)


def test_autocast_leaves_logits_in_float32():
    cascade = small_cascade().to(memory_format=torch.channels_last).eval()
    images = noise(4, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = cascade(images)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, cascade(images), rtol=0, atol=0.5)
    logits.square().sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in cascade.parameters())


def states_equal(first, second):
    one, other = first.state_dict(), second.state_dict()
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


def test_initial_weights_depend_on_the_seed_alone():
    before = torch.random.get_rng_state()
    first = small_cascade(seed=1)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.rand(3)
    assert states_equal(first, small_cascade(seed=1))
    trunk = create_backbone("resnet20", num_classes=7, seed=1)
    other = cascade_on(trunk, num_classes=5, seed=2)
    assert states_equal(first.trunk, other.trunk)
    assert not any(torch.equal(a.FC.weight, b.FC.weight) for a, b in zip(first.aux, other.aux, strict=True))
    assert not torch.equal(first.head.weight, other.head.weight)


@pytest.mark.parametrize("fan_out", [True, False])
def test_convolutions_of_the_heads_begin_as_the_papers(fan_out):
    for layer in small_cascade(fan_out=fan_out).aux[1].preBlock:
        if isinstance(layer, nn.Conv2d):
            inputs, outputs = layer.weight[0].numel(), layer.out_channels * layer.kernel_size[0] ** 2
            # PyTorch's default is uniform with variance 1 / (3 inputs); the paper's ignores groups
            expected = (2 / outputs) ** 0.5 if fan_out else (1 / (3 * inputs)) ** 0.5
            assert layer.weight.std().item() == pytest.approx(expected, rel=0.06)
            assert layer.bias.std().item() == pytest.approx((1 / (3 * inputs)) ** 0.5, rel=0.25)


def test_a_wrong_name_lists_the_right_ones():
    with pytest.raises(UserError, match="no network called 'resnet51'; choose one of resnet50, resnext50, resnet152-places"):
        create_cascade("resnet51", num_classes=5, seed=0)


def test_no_class_is_refused():
    with pytest.raises(UserError, match="at least one class"):
        create_cascade("resnet50", num_classes=0, seed=0)


def test_a_trunk_of_two_stages_is_refused():
    trunk = Tokens()
    trunk.blocks = trunk.blocks[:2]
    with pytest.raises(ValueError, match="at least three stages, this trunk has 2"):
        cascade_on(trunk, num_classes=5, seed=0)


def test_the_last_head_needs_no_other():
    network = cascade_on(create_backbone("resnet20", num_classes=4, seed=0), num_classes=4, seed=0).eval()
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    expected = network(images)[:, -1:]
    for head in network.aux:
        head.register_forward_pre_hook(lambda *_: pytest.fail("an auxiliary head was asked"))
    torch.testing.assert_close(network(images, only_last=True), expected, rtol=0, atol=0)
