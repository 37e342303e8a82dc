"""The samplers against the authors' draws, a tree of sums, and what epochs and checkpoints ask of them."""

import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from longtail.errors import UserError
from longtail.randomness import Randomness
from longtail.training.recipe import Clock
from longtail_cadel import config
from longtail_cadel.samplers import (
    SAMPLERS,
    ClassAwareSampler,
    ClassPriorityOptions,
    ClassPrioritySampler,
    MixedPrioritizedOptions,
    MixedPrioritizedSampler,
    Priorities,
    create_order,
)
from longtail_cadel.samplers.drawing import Wheel
from longtail_cadel.samplers.priorities import PRIORITIES

few = settings(max_examples=25, derandomize=True, deadline=None)
LABELS = np.array([0, 0, 0, 0, 1, 1, 2, 0])
COUNTS = np.bincount(LABELS)
MANUAL = ClassPriorityOptions(manual_only=True)
MIXED = MixedPrioritizedOptions(manual_only=True)
MANY = np.repeat(np.arange(5), (400, 200, 100, 50, 7))


def clock(epoch, step=0):
    return Clock(epoch, 10, step, 100, Randomness(0))


def give(sampler, indices, weights, epoch=1):
    """Change priorities, as the batches of the epoch before do."""
    sampler.priorities.update_weights(torch.tensor(indices), torch.tensor(weights))
    sampler.priorities.begin_epoch(clock(epoch))
    return sampler


def by_class(**options):
    return ClassPrioritySampler(LABELS, ClassPriorityOptions(**options))


def by_image(**options):
    return MixedPrioritizedSampler(LABELS, MixedPrioritizedOptions(**options))


class TestPublished:
    @pytest.mark.parametrize(
        ("group", "draws"),
        [
            (1, [7, 6, 4, 1, 5, 6, 6, 3, 5, 4, 6, 2, 0, 6, 4]),
            (2, [7, 1, 6, 6, 4, 5, 3, 2, 4, 5, 6, 6, 5, 4, 0]),
            (4, [7, 1, 3, 2, 6, 6, 6, 6, 4, 5, 4, 5, 0, 2, 7]),
        ],
    )
    def test_class_aware(self, group, draws):
        assert ClassAwareSampler(LABELS, group).draw(0, random.Random(0), 15).tolist() == draws

    @pytest.mark.parametrize(
        ("options", "weights", "draws"),
        [
            (replace(MANUAL, lam=0), [5, 2, 1], [7, 2, 1, 6, 0, 3, 1, 7]),
            (replace(MANUAL, lam=1), [2.66666667] * 3, [7, 6, 2, 4, 6, 1, 5, 5]),
            (replace(MANUAL, lam=0.5), [3.83333333, 2.33333333, 1.83333333], [7, 6, 2, 6, 6, 1, 0, 6]),
            (replace(MANUAL, lam=1, nroot=2), [3.84676576, 2.43290829, 1.72032595], [7, 6, 2, 4, 6, 1, 5, 5]),
        ],
        ids=["uniform", "balanced", "half", "root"],
    )
    def test_class_priority_without_priorities(self, options, weights, draws):
        sampler = ClassPrioritySampler(LABELS, options)
        assert sampler.priorities is None
        np.testing.assert_allclose(sampler.weights(0), weights, atol=1e-8)
        assert sampler.draw(0, random.Random(0), 8).tolist() == draws

    def test_class_priority_with_priorities(self):
        sampler = by_class(lam=1.0)
        np.testing.assert_allclose(sampler.weights(0), [7.66666667, 4.66666667, 3.66666667], atol=1e-8)
        give(sampler, [0, 4, 6], [0.2, 0.5, 0.9])
        np.testing.assert_allclose(sampler.weights(1), [6.86666667, 4.16666667, 3.56666667], atol=1e-7)

    def test_a_share_that_rises(self):
        sampler = ClassPrioritySampler(LABELS, replace(MANUAL, epochs=5))
        np.testing.assert_allclose(sampler.weights(2), [3.83333333, 2.33333333, 1.83333333], atol=1e-8)

    @pytest.mark.parametrize(
        ("lam", "weights", "draws"),
        [
            (1, [0.53333333, 1.33333333, 2.66666667], [6, 6, 4, 3, 5, 4, 6, 4]),
            (0, [1, 1, 1], [6, 6, 3, 2, 4, 3, 6, 2]),
        ],
    )
    def test_mixed(self, lam, weights, draws):
        sampler = MixedPrioritizedSampler(LABELS, replace(MIXED, lam=lam))
        np.testing.assert_allclose(sampler.weights(0), np.array(weights)[LABELS], atol=1e-8)
        assert sampler.draw(0, random.Random(0), 8).tolist() == draws


class TestWheel:
    @given(weights=st.lists(st.sampled_from([0.0, 0.5, 1.0, 3.0]), min_size=1, max_size=20), data=st.data())
    @few
    def test_it_is_a_tree_of_sums(self, weights, data):
        weights[data.draw(st.integers(0, len(weights) - 1))] = 2.0
        size = len(weights)
        tree = [0.0] * (size - 1) + weights
        for node in reversed(range(size - 1)):
            tree[node] = tree[2 * node + 1] + tree[2 * node + 2]
        wheel = Wheel(np.array(weights))
        for step in range(64):
            value, node = step / 64 * tree[0], 0
            while 2 * node + 1 < len(tree):
                left = 2 * node + 1
                value, node = (value, left) if value < tree[left] else (value - tree[left], left + 1)
            assert wheel.leaf(step / 64) == node - size + 1

    def test_rounding_finds_no_leaf_without_weight(self):
        below_one = np.nextafter(1.0, 0.0)
        for weights in ([0.1, 0.7, 0.1, 0.0], [0.0, 1e-300], [5e-324, 0.0, 0.0]):
            assert weights[Wheel(np.array(weights)).leaf(below_one)] > 0


class TestWeights:
    @pytest.mark.parametrize("ptype", PRIORITIES)
    @pytest.mark.parametrize("lam", [0.0, 0.3, 1.0, None])
    def test_manual_weights_are_as_much_as_priorities(self, ptype, lam):
        for make in (by_class, by_image):
            sampler = make(ptype=ptype, lam=lam, fixed_scale=0.5)
            own = PRIORITIES[ptype].initial * len(LABELS)
            np.testing.assert_allclose(sampler.weights(0).sum(), 1.5 * own, rtol=1e-6)

    @given(changes=st.lists(st.tuples(st.integers(0, 7), st.floats(-1, 2)), min_size=1, max_size=12))
    @few
    def test_sums_follow_the_priorities(self, changes):
        indices, weights = zip(*changes, strict=True)
        expected = np.ones(8)
        for index, weight in changes:
            expected[index] = min(max(weight, 0), 1)
        classes, images = by_class(lam=1.0), by_image(lam=1.0)
        still = classes.weights(0) - COUNTS, images.weights(0) - 1
        give(classes, indices, weights)
        give(images, indices, weights)
        np.testing.assert_allclose(classes.weights(1) - still[0], np.bincount(LABELS, expected), atol=1e-6)
        np.testing.assert_allclose(images.weights(1) - still[1], expected, atol=1e-6)

    def test_rescaling_keeps_the_ratio(self):
        for make in (by_class, by_image):
            sampler = give(make(rescale=True, fixed_scale=2.0, epochs=4), [0, 1, 4], [0.0, 0.5, 0.25])
            np.testing.assert_allclose(sampler.weights(1).sum(), 3 * 5.75, rtol=1e-6)

    def test_what_has_risen_stays_as_it_was_scaled(self):
        classes, images = by_class(epochs=3, balance_scale=3.0, ptype="CE"), by_image(epochs=3, balance_scale=3.0, ptype="CE")
        # of eight images with a priority of 6.9 each; the blend of the last epoch has three times as much as there are images
        assert [round(classes.weights(epoch).sum() / 8, 3) for epoch in (0, 1, 2, 9)] == [13.8] * 4
        assert [round(images.weights(epoch).sum() / 8, 3) for epoch in (0, 1, 2, 9)] == [13.8, 8.9, 9.9, 9.9]

    def test_manual_weights_can_be_the_aim_of_priorities(self):
        sampler = by_class(lam=1.0, fixed_scale=-1.0)
        np.testing.assert_allclose(sampler.weights(0), [8 / 3] * 3, rtol=1e-6)
        give(sampler, [6, 4], [0.5, 0.0])
        np.testing.assert_allclose(sampler.weights(1), [8 / 3, 4 / 3, 4 / 3], rtol=1e-6)

    def test_exponents(self):
        np.testing.assert_allclose(by_class(lam=0.0, alpha=2.0).weights(0), (2.0 * COUNTS) ** 2, rtol=1e-6)
        sampler = give(by_image(lam=0.0, alpha=0.5), [3], [0.25])
        np.testing.assert_allclose(sampler.weights(1), [2, 2, 2, 1.5, 2, 2, 2, 2], rtol=1e-6)

    @pytest.mark.parametrize(
        ("cycle", "shares"),
        [
            (0, [0, 1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1, 1, 1]),
            (1, [0, 1, 0, 1, 0, 1, 1, 1, 1]),
            (2, [0, 1, 1, 0, 0, 1, 1, 1, 1]),
        ],
    )
    def test_how_a_share_rises(self, cycle, shares):
        options = ClassPriorityOptions(epochs=7, cycle=cycle)
        np.testing.assert_allclose([options.share(epoch) for epoch in range(9)], shares)

    @pytest.mark.parametrize(
        ("options", "roots"),
        [
            ({"root_decay": "exp", "decay_gap": 2}, [1, 1, 2, 2, 4]),
            ({"root_decay": "linear", "decay_gap": 2}, [1, 1, 2, 2, 3]),
            ({"root_decay": "autoexp", "nroot": 16, "epochs": 5}, [1, 2, 4, 8, 16]),
        ],
    )
    def test_how_a_root_grows(self, options, roots):
        for make in (by_class, by_image):
            sampler = make(**options)
            assert sampler.priorities is None
            for epoch, root in enumerate(roots):
                balanced = 8 * COUNTS ** (1 / root) / np.sum(COUNTS ** (1 / root))
                expected = balanced if make is by_class else (balanced / COUNTS)[LABELS]
                np.testing.assert_allclose(sampler.weights(epoch), expected, rtol=1e-12)

    def test_nothing_left_to_weigh_with(self):
        for make in (by_class, by_image):
            sampler = give(make(lam=1.0, fixed_scale=0.0), range(8), [0.0] * 8)
            assert sampler.weights(1).sum() == 0
            assert set(LABELS[sampler.draw(1, random.Random(0), 40)]) == {0, 1, 2}

    @pytest.mark.parametrize("lam", [0.0, 0.5, 1.0])
    @pytest.mark.parametrize("kind", ["ClassPrioritySampler", "MixedPrioritizedSampler"])
    def test_draws_follow_the_weights(self, kind, lam):
        counts = np.bincount(MANY)
        order = create_order({"type": kind, "lam": lam}, MANY, 10, Randomness(5))
        # half of the weight is that of the priorities, which are all 1
        expected = 0.5 * counts / len(MANY) + 0.5 * (lam / 5 + (1 - lam) * counts / len(MANY))
        drawn = np.bincount(np.concatenate([MANY[order(epoch)] for epoch in range(20)]), minlength=5)
        deviation = np.sqrt(expected * (1 - expected) / drawn.sum())
        assert (np.abs(drawn / drawn.sum() - expected) < 4 * deviation).all()

    def test_images_of_a_class_come_in_turn(self):
        order = create_order({"type": "ClassPrioritySampler", "lam": 1.0}, MANY, 10, Randomness(5))
        for label in range(5):
            images = [index for index in order(3) if MANY[index] == label]
            size = np.bincount(MANY)[label]
            for start in range(0, len(images), size):
                turn = images[start : start + size]
                assert len(set(turn)) == len(turn)


class TestPriorities:
    @pytest.mark.parametrize("ptype", PRIORITIES)
    def test_what_they_are(self, ptype):
        logits = torch.randn(6, 4, generator=torch.Generator().manual_seed(0)).double() * 4
        labels = torch.tensor([0, 1, 2, 3, 0, 1])
        p = logits.exp() / logits.exp().sum(1, keepdim=True)
        own = p[range(6), labels]
        expected = {"score": 1 - own, "entropy": -(p * p.log()).sum(1), "CE": -own.log()}[ptype]
        torch.testing.assert_close(PRIORITIES[ptype].of(logits, labels), expected)
        priorities = Priorities(9, ptype)
        priorities.update(torch.arange(2, 8), logits, labels)
        limit = PRIORITIES[ptype].initial
        torch.testing.assert_close(priorities.current[2:8], expected.clamp(0, limit).float())
        assert priorities.current[[0, 1, 8]].tolist() == [torch.tensor(limit).item()] * 3

    def test_saturated_logits_have_priorities(self):
        logits = torch.tensor([[3e4, -3e4, 0.0], [-3e4, 3e4, 0.0]], dtype=torch.bfloat16, requires_grad=True)
        for ptype, expected in {"score": [0, 1], "entropy": [0, 0], "CE": [0, 6.9]}.items():
            priorities = Priorities(2, ptype)
            priorities.update(torch.arange(2), logits, torch.tensor([0, 0]))
            torch.testing.assert_close(priorities.current, torch.tensor(expected, dtype=torch.float32))
            assert not priorities.current.requires_grad

    def test_momentum(self):
        priorities = Priorities(3, momentum=0.5)
        position, velocity = 1.0, 0.0
        for value in (0.2, 0.6, 0.0):
            velocity = 0.5 * velocity + 0.5 * (value - position)
            position += velocity
            priorities.update_weights(torch.tensor([1]), torch.tensor([value]))
            torch.testing.assert_close(priorities.current, torch.tensor([1, position, 1]))
        priorities.begin_epoch(clock(1))
        assert priorities.of_epoch().min() == max(0, priorities.current.min().item())

    def test_an_epoch_sees_what_it_began_with(self):
        order = create_order({"type": "ClassPrioritySampler", "lam": 1.0}, MANY, 10, Randomness(5))
        recipe = torch.nn.Module()
        recipe.priorities = order.priorities
        recipe.priorities.begin_epoch(clock(0))
        first = order(0)
        order.priorities.update_weights(torch.arange(600), torch.zeros(600))
        np.testing.assert_array_equal(order(0), first)

        other = create_order({"type": "ClassPrioritySampler", "lam": 1.0}, MANY, 10, Randomness(5))
        continued = torch.nn.Module()
        continued.priorities = other.priorities
        continued.load_state_dict(recipe.state_dict())
        continued.priorities.begin_epoch(clock(0, step=3))
        np.testing.assert_array_equal(other(0), first)

        for each in (recipe, continued):
            each.priorities.begin_epoch(clock(1))
        np.testing.assert_array_equal(other(1), order(1))
        # of classes 0 and 1 no priority is left, and three fifths of all manual weight are elsewhere
        assert np.mean(MANY[order(1)] <= 1) < 0.5


class TestOrders:
    @pytest.mark.parametrize("kind", SAMPLERS)
    def test_an_order_is_a_function_of_seed_and_epoch(self, kind):
        def made(seed=3):
            return create_order({"type": kind, "def_file": f"./data/{kind}.py"}, MANY, 10, Randomness(seed))

        order = made()
        first = order(5)
        assert first.dtype == np.int64
        assert first.shape == (len(order),) == (len(MANY),)
        assert set(first) <= set(range(len(MANY)))
        order(6)
        np.testing.assert_array_equal(order(5), first)
        np.testing.assert_array_equal(made()(5), first)
        assert not np.array_equal(made()(6), first)
        assert not np.array_equal(made(4)(5), first)

    def test_class_aware_shows_classes_alike(self):
        drawn = np.bincount(MANY[create_order({"type": "ClassAwareSampler"}, MANY, 10, Randomness(0))(0)])
        assert drawn.max() - drawn.min() <= 1

    def test_a_share_rises_over_the_run_unless_told_otherwise(self):
        for told, last in (({}, 1 / 5), ({"epochs": 100}, None)):
            order = create_order({"type": "MixedPrioritizedSampler", "manual_only": True, **told}, MANY, 4, Randomness(1))
            rare = np.mean(MANY[order(3)] == 4)
            assert abs(rare - last) < 0.06 if last else rare < 0.05

    def test_labels_need_not_be_without_gaps(self):
        for kind in SAMPLERS:
            order = create_order({"type": kind}, np.array([4, 9, 9, 4, 4]), 10, Randomness(0))
            assert set(order(0)) <= set(range(5))

    def test_what_a_configuration_can_say(self):
        assert config.SAMPLERS.keys() == SAMPLERS.keys()
        for kind, readers in config.SAMPLERS.items():
            assert set(readers) == set(SAMPLERS[kind].options)

    @pytest.mark.parametrize(
        ("spec", "message"),
        [
            ({"type": "Balanced"}, "type must be one of ClassAwareSampler, .*, got Balanced"),
            ({}, "type must be one of"),
            ({"type": "ClassAwareSampler", "lam": 1}, "has no option lam; its options are num_samples_cls"),
            ({"type": "MixedPrioritizedSampler", "momentum": 1}, "has no option momentum; its options are balance_scale, "),
            ({"type": "ClassAwareSampler", "def_file": "./data/ClassPrioritySampler.py"}, "is another sampler"),
            ({"type": "ClassAwareSampler", "num_samples_cls": 0}, "num_samples_cls must be at least 1, got 0"),
            ({"type": "ClassPrioritySampler", "lam": 1.5}, r"lam must be from 0 to 1, or null, got 1\.5"),
            ({"type": "ClassPrioritySampler", "cycle": 3}, "cycle must be 0, 1 or 2, got 3"),
            ({"type": "ClassPrioritySampler", "cycle": 1, "epochs": 2}, "epochs must be at least 3, got 2"),
            ({"type": "ClassPrioritySampler", "nroot": 1}, "nroot must be larger than 1"),
            ({"type": "MixedPrioritizedSampler", "nroot": 1.5}, "nroot must be at least 2"),
            ({"type": "ClassPrioritySampler", "root_decay": "autoexp"}, "nroot must be a number from 1 on"),
            ({"type": "ClassPrioritySampler", "root_decay": "log"}, "root_decay must be exp, linear, autoexp or null"),
            ({"type": "ClassPrioritySampler", "ptype": "loss"}, "ptype must be one of score, entropy, CE, got loss"),
            ({"type": "ClassPrioritySampler", "pri_mode": "valid"}, "pri_mode must be train"),
            ({"type": "ClassPrioritySampler", "fixed_scale": -1, "manual_only": True}, "fixed_scale must not be negative"),
            ({"type": "MixedPrioritizedSampler", "fixed_scale": -1}, "fixed_scale must not be negative"),
            ({"type": "ClassPrioritySampler", "momentum": 2}, "momentum must be from 0 to 1"),
            ({"type": "ClassPrioritySampler", "balance_scale": 0}, "balance_scale must be positive"),
        ],
    )
    def test_what_it_cannot_say(self, spec, message):
        with pytest.raises(UserError, match=message):
            create_order(spec, MANY, 10, Randomness(0))
