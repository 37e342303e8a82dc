"""RSG against the ancestor's numbers, against a loop from its definition, and what it promises besides."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_rsg import naive_rsg, vector_terms
from torch.utils._python_dispatch import TorchDispatchMode

from longtail_rsg_study.pooling import convolved_mean
from longtail_rsg_study.rsg import RSG, head_classes
from longtail_rsg_study.transfer import transfer_pairs, vector_change

MINI_IMAGENET_LT = """
147 106  82  82 228 231  22 409 176 146   373 351 407 330 346 231 211  41 184 297
404 321 325 236 319 149 361  36 230  65   252 277  62 427 316 111 446 329 479 275
258 321 343 166 302 367 364 103  49  13   288  15 473  69 132  12 399 260 375 218
252 161 142  38 317 311 453  12 284 167    38 188 313 354  75 359  42 349 178 195
451  22 171  60 264 424 334 313  98 280   207 119 128  75 418 151 279 243 419 161
"""

STATE = {
    "linear",
    "bias",
    "centers",
    "vec_transformation_module.0.weight",
    "vec_transformation_module.0.bias",
    "contrastive_module.0.weight",
    "contrastive_module.0.bias",
    "contrastive_module.2.weight",
    "contrastive_module.2.bias",
    "contrastive_fc.weight",
    "contrastive_fc.bias",
}
CENTRES = {"linear", "bias", "centers"}
TRANSFORM = {name for name in STATE if name.startswith("vec_transformation")}
CONTRAST = STATE - CENTRES - TRANSFORM


# --- head classes ---


def test_head_classes_of_mini_imagenet_lt():
    counts = np.array(MINI_IMAGENET_LT.split(), dtype=np.int64)
    heads = head_classes(counts, 0.2)
    assert heads == [38, 52, 66, 80, 36, 33, 85, 98, 94, 7, 12, 20, 56, 58, 10, 45, 46, 26, 75, 73]
    assert counts[heads].sum() == 8162


@pytest.mark.parametrize(
    ("counts", "ratio", "expected"),
    [
        ([500, 20, 500, 7, 300, 300, 1, 2, 3, 4], 0.4, [0, 2, 4, 5]),
        ([5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50], 0.2, [0, 1]),
        ([3, 1, 2], 1.0, [0, 2, 1]),
        ([3, 1, 2], 0.0, []),
        ([3, 1, 2], 0.33, []),
    ],
)
def test_head_classes_are_the_most_frequent(counts, ratio, expected):
    given_counts = np.array(counts)
    assert head_classes(given_counts, ratio) == expected
    assert given_counts.tolist() == counts


def test_the_number_of_head_classes_is_cut_not_rounded():
    assert len(head_classes(np.arange(100), 0.29)) == 28


@pytest.mark.parametrize("ratio", [-0.1, 1.1, math.nan])
def test_a_share_of_the_classes_is_within_0_and_1(ratio):
    with pytest.raises(ValueError, match="share"):
        head_classes([2, 1], ratio)


# --- the ancestor's numbers ---


def wave(shape, function):
    index = torch.arange(math.prod(shape), dtype=torch.float64)
    return function(index).reshape(shape)


@pytest.fixture
def ancestor():
    """The module of the test vectors, in float64."""
    rsg = RSG(3, 4, [0], threshold=5, centres=2, width=3).double()
    waves = {
        "linear": lambda i: 0.3 * torch.sin(i + 1),
        "bias": torch.ones_like,
        "centers": lambda i: 0.2 * torch.cos(i),
        "vec_transformation_module.0.weight": lambda i: 0.1 * torch.sin(0.5 * i),
        "vec_transformation_module.0.bias": lambda i: torch.full_like(i, 0.05),
        "contrastive_module.0.weight": lambda i: 0.2 * torch.cos(0.3 * i + 1),
        "contrastive_module.0.bias": lambda i: torch.full_like(i, 0.01),
        "contrastive_module.2.weight": lambda i: 0.1 * torch.sin(0.7 * i + 2),
        "contrastive_module.2.bias": torch.zeros_like,
        "contrastive_fc.weight": lambda i: 0.5 * torch.cos(1.1 * i),
        "contrastive_fc.bias": lambda i: 0.1 - 0.2 * i,
    }
    rsg.load_state_dict({name: wave(value.shape, waves[name]) for name, value in rsg.state_dict().items()})
    return rsg


MAPS = wave((6, 4, 2, 2), lambda i: torch.sin(0.37 * i) + 0.25)
MIXED, FEW_HEADS, NO_HEAD = (0, 0, 0, 1, 2, 0), (0, 1, 2, 1, 2, 1), (1, 1, 2, 1, 2, 2)
LEARNT = {
    "collecting": CENTRES | CONTRAST,
    "generating": CENTRES | TRANSFORM,
    "nothing to generate": CENTRES,
}


def near(actual, expected, tolerance=2e-6):
    actual = torch.stack(actual) if isinstance(actual, list) else actual
    torch.testing.assert_close(actual.double(), torch.tensor(expected).double(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    ("labels", "epoch", "cesc", "mv", "total", "new_labels", "sums", "learnt"),
    [
        (MIXED, 5, 9.5317631, 0, 0.9531763, [], [], "collecting"),
        (MIXED, 6, 8.8638954, 23.0989037, 1.1173786, [1, 2, 1, 2], [4.896709, 4.322858, 4.047738, 4.659349], "generating"),
        (
            FEW_HEADS,
            6,
            9.5982218,
            22.4349480,
            1.1841717,
            [1, 2, 1, 2, 1],
            [4.57593, 4.793188, 4.896709, 4.872988, 4.725118],
            "generating",
        ),
        (NO_HEAD, 6, 9.4950867, 0, 0.9495087, [], [], "nothing to generate"),
        ((0, 1, 0, 2, 0), 6, 8.9033537, 22.0150585, 1.1104860, [1, 2], [4.57593, 4.047738], "generating"),
        (FEW_HEADS, 0, 10.2050877, 0, 1.0205088, [], [], "collecting"),
    ],
    ids="ABCDEF",
)
def test_vectors(ancestor, labels, epoch, cesc, mv, total, new_labels, sums, learnt):
    maps = MAPS[: len(labels)].clone().requires_grad_()
    result = ancestor(maps, torch.tensor(labels), epoch)
    near(result.cesc, cesc)
    near(result.mv, mv)
    near(0.1 * result.cesc + 0.01 * result.mv, total)
    assert result.labels.tolist() == [*labels, *new_labels]
    torch.testing.assert_close(result.maps[: len(labels)], maps)
    near(result.maps[len(labels) :].sum(dim=(1, 2, 3)), sums)

    (result.cesc + result.mv + result.maps.square().sum()).backward()
    assert {name for name, each in ancestor.named_parameters() if each.grad is not None} == LEARNT[learnt]
    assert all(each.requires_grad for each in ancestor.parameters())
    torch.testing.assert_close(maps.grad, 2 * maps.detach())


def test_details_of_the_losses_while_collecting(ancestor):
    pooled, labels = MAPS.mean(dim=(2, 3)), torch.tensor(MIXED)
    near(pooled[0], [0.7329005, 1.0694416, -0.0843003, -0.6300645])
    shares = [0.5873883, 0.5796666, 0.5611725, 0.3883986, 0.5307850, 0.4690196]
    near(ancestor.shares(pooled, labels), [[share, 1 - share] for share in shares])
    logits = [[0.0871817, -0.0911226], [0.0886833, -0.0921587], [0.0899484, -0.0930570]]
    near(ancestor.related(MAPS[:3], MAPS[3:], frozen=False), logits)
    near(ancestor(MAPS, labels, 5).cesc - ancestor(MAPS, labels, 6).cesc, 0.6678677)


def test_details_of_the_first_new_map(ancestor):
    result = ancestor(MAPS, torch.tensor(MIXED), 6)
    near(
        result.maps[6].flatten(),
        [
            *(-0.4242736, -0.2317487, -0.0622116, 0.2245232, 0.7641777, 0.9943081, 1.0684453, 1.1332384),
            *(1.2036694, 0.9634271, 0.6464425, 0.3394075, -0.0592857, -0.4114136, -0.5879996, -0.6639971),
        ],
    )
    # the first segment is what a batch of its four samples gives
    segment = ancestor(MAPS[[0, 1, 3, 4]], torch.tensor([0, 0, 1, 2]), 6)
    near(segment.mv, 23.3619175)
    torch.testing.assert_close(segment.maps[4:], result.maps[6:8])
    values = dict(ancestor.named_parameters())
    terms = [vector_terms(values, MAPS, MIXED, head, tail)[1:] for head, tail in ((0, 3), (1, 4))]
    near([sum(each) / 2 for each in zip(*terms, strict=True)], [0.6108789, 4.0199556, 18.7310829])


def test_float32_is_as_near_to_the_vectors_as_the_ancestor_itself(ancestor):
    result = ancestor.float()(MAPS.float(), torch.tensor(MIXED), 6)
    assert result.maps.dtype == result.cesc.dtype == result.mv.dtype == torch.float32
    near(result.cesc, 8.8638954)
    near(result.mv, 23.0989037)


# --- gradients ---


def gradients(of, parameters):
    found = torch.autograd.grad(of, list(parameters.values()), allow_unused=True, retain_graph=True)
    return {name for name, each in zip(parameters, found, strict=True) if each is not None and bool(each.any())}


@pytest.mark.parametrize(
    ("epoch", "of_cesc", "of_mv"), [(5, CENTRES | CONTRAST, None), (6, CENTRES, TRANSFORM)], ids=["collecting", "generating"]
)
def test_where_gradients_go(ancestor, epoch, of_cesc, of_mv):
    maps = MAPS.clone().requires_grad_()
    result = ancestor(maps, torch.tensor(MIXED), epoch)
    everything = {"maps": maps, **dict(ancestor.named_parameters())}
    assert gradients(result.cesc, everything) == of_cesc
    if of_mv is None:
        assert not result.mv.requires_grad
        assert result.maps is maps
    else:
        assert gradients(result.mv, everything) == of_mv
        assert gradients(result.maps[6:].square().sum(), everything) == TRANSFORM
        (at_maps,) = torch.autograd.grad(result.maps.square().sum(), maps)
        torch.testing.assert_close(at_maps, 2 * maps.detach())


# --- against the definition ---


@st.composite
def situations(draw):
    classes, samples = draw(st.integers(2, 5)), draw(st.integers(1, 9))
    return {
        "classes": classes,
        "heads": draw(st.lists(st.integers(0, classes - 1), unique=True, max_size=classes)),
        "labels": draw(st.lists(st.integers(0, classes - 1), min_size=samples, max_size=samples)),
        "shape": (draw(st.integers(1, 4)), draw(st.integers(1, 3)), draw(st.integers(1, 3))),
        "centres": draw(st.integers(1, 3)),
        "width": draw(st.integers(1, 3)),
        "strength": draw(st.sampled_from([0.0, 0.5, 1.0, 2.5])),
        "epoch": draw(st.sampled_from([1, 2])),
        "seed": draw(st.integers(0, 99)),
    }


def made(situation, dtype=torch.float64):
    """RSG with parameters that are all unlike one another, and a batch."""
    generator = torch.Generator().manual_seed(situation["seed"])
    rsg = RSG(
        situation["classes"],
        situation["shape"][0],
        situation["heads"],
        threshold=1,
        centres=situation["centres"],
        width=situation["width"],
        strength=situation["strength"],
    ).to(dtype)
    with torch.no_grad():
        for parameter in rsg.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=dtype))
    labels = torch.tensor(situation["labels"])
    return rsg, torch.randn(len(labels), *situation["shape"], generator=generator, dtype=dtype), labels


def learnt(rsg, result, maps):
    """Gradients of a loss in which everything has another weight."""
    maps_out, _, cesc, mv = result
    rows = torch.linspace(0.5, 1.5, len(maps_out), dtype=maps_out.dtype)[:, None, None, None]
    loss = 0.3 * cesc + 0.7 * mv + (rows * maps_out.square()).sum()
    found = torch.autograd.grad(loss, [*rsg.parameters(), maps], allow_unused=True)
    return [
        torch.zeros_like(like) if each is None else each for each, like in zip(found, [*rsg.parameters(), maps], strict=True)
    ]


@given(situations())
@settings(derandomize=True, deadline=None, max_examples=40)
def test_it_does_what_its_definition_says(situation):
    rsg, maps, labels = made(situation)
    maps.requires_grad_()
    result = rsg(maps, labels, situation["epoch"])
    options = {"heads": situation["heads"], "threshold": 1, "strength": situation["strength"]}
    expected = naive_rsg(dict(rsg.named_parameters()), maps, labels, situation["epoch"], **options)
    torch.testing.assert_close(result.maps, expected[0])
    assert result.labels.tolist() == expected[1]
    torch.testing.assert_close(result.cesc, expected[2])
    torch.testing.assert_close(result.mv, expected[3].double())
    for mine, theirs in zip(learnt(rsg, result, maps), learnt(rsg, expected, maps), strict=True):
        torch.testing.assert_close(mine, theirs)


@given(st.lists(st.booleans(), max_size=40), st.sampled_from([0.0, 0.3, 1.0, 1.7, 50.0]))
@settings(derandomize=True, deadline=None, max_examples=100)
def test_pairs(in_head, strength):
    heads, tails = (each.tolist() for each in transfer_pairs(torch.tensor(in_head, dtype=torch.bool), strength))
    many, few = sorted((in_head.count(True), in_head.count(False)), reverse=True)
    assert len(heads) == len(tails)
    assert all(in_head[head] and not in_head[tail] for head, tail in zip(heads, tails, strict=True))
    if not few:
        assert not heads
        return
    assert len(heads) % few == 0
    assert few <= len(heads) <= many
    assert len(set(zip(heads, tails, strict=True))) == len(heads)
    if strength <= 1:
        assert len(heads) <= max(few, many * strength)
    else:
        assert len(heads) == many // few * few


def test_a_strength_above_1_takes_part_with_all_there_is():
    heads, tails = transfer_pairs(torch.tensor([True, False, True, True, False, True, True]), 3.0)
    assert heads.tolist() == [0, 2, 3, 5]
    assert tails.tolist() == [1, 4, 1, 4]


# --- odd batches ---


@pytest.fixture
def small():
    """RSG on 3 classes, of which class 0 is head, and 6 maps."""
    return made(
        {
            "classes": 3,
            "heads": [0],
            "labels": MIXED,
            "shape": (4, 3, 5),
            "centres": 2,
            "width": 3,
            "strength": 1.0,
            "seed": 0,
        }
    )


@pytest.mark.parametrize("labels", [(0, 0, 0), (1, 2, 1)], ids=["no tail", "no head"])
def test_with_one_kind_alone_nothing_is_generated(small, labels):
    rsg, maps, _ = small
    result = rsg(maps[:3], torch.tensor(labels), 2)
    assert len(result.maps) == len(result.labels) == 3
    assert result.mv == 0
    assert result.cesc > 0


def test_without_head_classes_or_without_tail_classes_nothing_is_generated(small):
    _, maps, labels = small
    for heads in ([], [0, 1, 2]):
        rsg = RSG(3, 4, heads, threshold=1, centres=2, width=3).double()
        assert rsg(maps, labels, 2).labels.tolist() == labels.tolist()


def test_one_sample_has_nobody_to_be_paired_with(small):
    rsg, maps, labels = small
    alone = rsg(maps[:1], labels[:1], 0)
    assert torch.equal(alone.cesc, rsg(maps[:1], labels[:1], 2).cesc)
    assert alone.mv == 0


def test_the_last_of_an_odd_number_is_left_out_of_the_pairs(small):
    rsg, maps, labels = small
    pair_loss = rsg(maps, labels, 1).cesc - rsg(maps, labels, 2).cesc
    assert pair_loss > 0
    maps, labels = torch.cat([maps, maps[:1]]), torch.cat([labels, labels[:1]])
    torch.testing.assert_close(rsg(maps, labels, 1).cesc - rsg(maps, labels, 2).cesc, pair_loss)


def test_a_batch_without_samples_costs_nothing(small):
    rsg, maps, labels = small
    for epoch in (1, 2):
        result = rsg(maps[:0], labels[:0], epoch)
        assert result.maps.shape == (0, 4, 3, 5)
        assert result.cesc == result.mv == 0


def test_vectors_of_length_0_give_finite_losses_and_gradients():
    moved = torch.zeros(2, 3, 2, 2, requires_grad=True)
    vector_change(moved, torch.zeros(2, 3, 2, 2), torch.zeros(2, 3, 2, 2)).backward()
    assert bool(moved.grad.isfinite().all())


# --- memory formats, precisions, devices ---


@pytest.mark.parametrize("epoch", [1, 2])
def test_channels_last_changes_nothing_and_is_kept(small, epoch):
    rsg, maps, labels = small
    expected = rsg(maps, labels, epoch)
    rsg = rsg.to(memory_format=torch.channels_last)
    result = rsg(maps.contiguous(memory_format=torch.channels_last), labels, epoch)
    assert result.maps.is_contiguous(memory_format=torch.channels_last)
    for mine, theirs in zip(result, expected, strict=True):
        torch.testing.assert_close(mine, theirs)


def test_distances_and_shares_are_in_float32_under_autocast(small):
    rsg, maps, labels = small
    rsg, maps = rsg.float(), maps.bfloat16()
    exact = rsg(maps.float(), labels, 2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = rsg(maps, labels, 2)
        collecting = rsg(maps, labels, 1)
    torch.testing.assert_close(result.cesc, exact.cesc)
    assert collecting.cesc.dtype == result.cesc.dtype == result.mv.dtype == torch.float32
    assert result.maps.dtype == torch.bfloat16
    assert collecting.maps is maps
    torch.testing.assert_close(result.mv, exact.mv, rtol=2e-2, atol=0)
    torch.testing.assert_close(result.maps.float(), exact.maps, rtol=2e-2, atol=0.5)


def test_vectors_in_bfloat16_are_measured_in_float32():
    moved, vectors, along = torch.randn(3, 2, 4, 3, 3, generator=torch.Generator().manual_seed(0)).bfloat16()
    change = vector_change(moved, vectors, along)
    assert change.dtype == torch.float32
    assert change == vector_change(moved.float(), vectors.float(), along.float())


@pytest.mark.parametrize("size", [(1, 1), (1, 3), (2, 1), (4, 5)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_mean_of_a_convolution_without_the_convolution(size, layout):
    generator = torch.Generator().manual_seed(0)
    shapes = ((2, 3, *size), (4, 3, 3, 3), (4,))
    maps, weight, bias = (torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes)
    expected = torch.nn.functional.conv2d(maps, weight, bias, padding=1).mean(dim=(2, 3))
    maps, weight = (each.contiguous(memory_format=layout) for each in (maps, weight))
    torch.testing.assert_close(convolved_mean(maps, weight, bias), expected)
    assert convolved_mean(maps.bfloat16(), weight.float(), bias.float()).dtype == torch.float32


class Waits(TorchDispatchMode):
    """Counts the operations after which the host must know what the device has computed."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(("epoch", "waits"), [(1, 0), (2, 1)])
def test_the_host_waits_once_in_a_step_that_generates_and_else_never(small, epoch, waits):
    rsg, maps, labels = small
    with Waits() as mode:
        result = rsg(maps, labels, epoch)
        (result.cesc + result.mv).backward()
    assert mode.count == waits


@pytest.mark.parametrize("epoch", [1, 2])
def test_no_random_numbers_are_drawn(small, epoch):
    rsg, maps, labels = small
    before = torch.get_rng_state()
    rsg(maps, labels, epoch)
    assert torch.equal(torch.get_rng_state(), before)


def test_gradients_are_the_same_bits_on_several_threads():
    threads = torch.get_num_threads()
    generator = torch.Generator().manual_seed(0)
    rsg = RSG(3, 256, [0], threshold=1, width=2)
    maps = torch.randn(96, 256, 2, 2, generator=generator)
    labels = torch.randint(3, (96,), generator=generator)
    torch.set_num_threads(2)
    try:
        found = [torch.autograd.grad(rsg(maps, labels, 2).cesc, [rsg.linear, rsg.centers]) for _ in range(5)]
    finally:
        torch.set_num_threads(threads)
    for again in found[1:]:
        assert all(torch.equal(one, other) for one, other in zip(found[0], again, strict=True))


# --- parameters ---


def test_state_has_the_ancestors_names():
    assert set(RSG(3, 4, [0], threshold=0).state_dict()) == STATE


@pytest.mark.parametrize(
    ("channels", "classes", "expected"),
    [(1024, 100, 13_626_846), (1024, 10, 10_860_696), (32, 10, 626_232), (32, 100, 713_982)],
)
def test_parameter_counts(channels, classes, expected):
    with torch.device("meta"):
        rsg = RSG(classes, channels, [0], threshold=160)
    assert sum(each.numel() for each in rsg.parameters()) == expected


@pytest.mark.parametrize(
    ("fan_out", "first", "classifier"), [(False, 2 / 64, 1.0), (True, 2 / 128, 2 / 128)], ids=["fan in", "fan out"]
)
def test_initial_values(fan_out, first, classifier):
    torch.manual_seed(0)
    rsg = RSG(4, 32, [0], threshold=0, centres=15, width=128)
    rsg.reset_parameters(fan_out=fan_out)
    values = rsg.state_dict()
    variances = {
        "linear": 1.0,
        "vec_transformation_module.0.weight": 2 / (32 * 9),
        "contrastive_module.0.weight": first,
        "contrastive_module.2.weight": 2 / (128 * 9),
        "contrastive_fc.weight": classifier,
    }
    for name, variance in variances.items():
        torch.testing.assert_close(values[name].mean(), torch.tensor(0.0), rtol=0, atol=0.25 * math.sqrt(variance))
        torch.testing.assert_close(values[name].var(), torch.tensor(variance), rtol=0.25, atol=0)
    assert bool((values["bias"] == 1).all())
    for name in STATE - set(variances) - {"bias"}:
        assert not values[name].any(), name


def test_a_head_class_must_exist():
    with pytest.raises(ValueError, match="0 to 2"):
        RSG(3, 4, [3], threshold=0)


def test_which_classes_are_head_is_not_part_of_the_state(small):
    rsg, maps, labels = small
    other = RSG(3, 4, [1, 2], threshold=1, centres=2, width=3).double()
    other.load_state_dict(rsg.state_dict())
    assert other(maps, labels, 2).labels[6:].tolist() == [0, 0, 0, 0]
