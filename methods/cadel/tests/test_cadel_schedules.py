"""CADEL's learning rates and blends against the authors' code."""

import math

import numpy as np
import pytest
import torch
from cadel_toy import clock
from hypothesis import given, settings
from hypothesis import strategies as st

from longtail.training.mixup import blended, draw_mix, mixup
from longtail_cadel.schedules import cosine, stepped, warmup_cosine_by_batch

few = settings(max_examples=15, derandomize=True, deadline=None)


@pytest.mark.parametrize(
    ("epochs", "epoch", "rate"),
    [
        (200, 1, 0.025),
        (200, 2, 0.024998457906),
        (200, 5, 0.024975334105),
        (200, 10, 0.024875295721),
        (200, 50, 0.021476578722),
        (200, 101, 0.0125),
        (200, 150, 0.003801090043),
        (200, 200, 0.000001542094),
        (30, 2, 0.024931523692),
        (30, 10, 0.019847315654),
        (30, 16, 0.0125),
        (30, 30, 0.000068476308),
    ],
)
def test_published_rates_of_cnns(epochs, epoch, rate):
    schedule = cosine(epochs, lr=0.025)
    assert 0.025 * schedule(epoch - 1) == pytest.approx(rate, abs=5e-13)
    # within an epoch nothing changes
    assert schedule(epoch - 0.01) == schedule(epoch - 1)


@few
@given(st.integers(1, 30), st.floats(1e-4, 1.0), st.floats(0.0, 1.0))
def test_the_cosine_is_that_of_torch(epochs, lr, share):
    end = lr * share
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.SGD([parameter], lr=lr)
    reference = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs, eta_min=end)
    schedule = cosine(epochs, lr=lr, end_lr=end)
    for epoch in range(epochs):
        assert lr * schedule(epoch) == pytest.approx(reference.get_last_lr()[0], rel=1e-7, abs=1e-12)
        optimiser.step()
        reference.step()


@pytest.mark.parametrize(
    ("lr", "min_lr", "epochs", "t", "rate"),
    [
        (5e-4, 0.0, 100, 1, 1.0e-4),
        (5e-4, 0.0, 100, 1.5, 1.5e-4),
        (5e-4, 0.0, 100, 4.999, 4.999e-4),
        (5e-4, 0.0, 100, 5, 5.0e-4),
        (5e-4, 0.0, 100, 5.5, 4.999658262481e-4),
        (5e-4, 0.0, 100, 27.5, 4.339309776683e-4),
        (5e-4, 0.0, 100, 52.5, 2.5e-4),
        (5e-4, 0.0, 100, 99.5, 3.417375188e-8),
        (5e-4, 0.0, 100, 100, 0.0),
        (5e-4, 0.0, 100, 100.5, 3.417375188e-8),
        (5e-4, 0.0, 100, 100.999, 1.364124550e-7),
        (5e-4, 1e-7, 30, 10, 4.522637977440e-4),
        (5e-4, 1e-7, 30, 30, 1e-7),
        (5e-4, 1e-7, 30, 30.999, 2.066995692e-6),
    ],
)
def test_published_rates_of_transformers(lr, min_lr, epochs, t, rate):
    schedule = warmup_cosine_by_batch(5, epochs, lr=lr, min_lr=min_lr)
    assert lr * schedule(t - 1) == pytest.approx(rate, rel=1e-9, abs=1e-18)


@pytest.mark.parametrize("epochs", [1, 4, 5, 6])
def test_a_run_no_longer_than_its_warm_up(epochs):
    schedule = warmup_cosine_by_batch(5, epochs)
    rates = [schedule(epoch + step / 10) for epoch in range(epochs) for step in range(10)]
    assert all(0 <= rate <= 1 for rate in rates)


@few
@given(st.integers(0, 10), st.integers(0, 60), st.integers(0, 60), st.floats(0.0, 1.0), st.integers(0, 100))
def test_steps_multiply_with_the_warm_up(warmup, first, second, factor, epoch):
    first, second = sorted((first, second))
    expected = 1.0 if epoch < first else factor if epoch < second else factor * factor
    if epoch < warmup:
        expected *= (epoch + 1) / warmup
    assert stepped(warmup, first, second, factor=factor)(epoch) == pytest.approx(expected, rel=1e-12, abs=0)
    assert math.isclose(stepped(5, 50, 70)(50), 0.1)


def column(values):
    return torch.tensor(values, dtype=torch.float64)[:, None, None, None].expand(-1, 3, 2, 2).contiguous()


@pytest.mark.parametrize(
    ("alpha", "share", "images", "next_share", "next_labels"),
    [
        (
            0.5,
            0.370615470617,
            [1.2587690588, 3.5175381175, 2.6293845294, 1.1118464118, 2.1118464118, 4.3706154706],
            0.550305857530,
            [3, 0, 5, 4, 2, 1],
        ),
        (0.8, 0.531506101653, [0.9369877967, 2.8739755934, 2.4684938983, 1.5945183050, 2.5945183050, 4.5315061017], None, None),
    ],
)
def test_published_draws_of_mixup(alpha, share, images, next_share, next_labels):
    rng, generator = np.random.RandomState(0), torch.Generator().manual_seed(0)
    labels = torch.arange(6)
    mix = draw_mix(rng, generator, 6, alpha)
    assert mix.share == pytest.approx(share, abs=5e-13)
    assert labels[mix.partners].tolist() == [2, 5, 3, 0, 1, 4]
    found = blended(column([0.0, 1.0, 2.0, 3.0, 4.0, 5.0]), mix)
    torch.testing.assert_close(found, column(images), rtol=0, atol=5e-11)
    again = draw_mix(rng, generator, 6, alpha)
    if next_share is None:
        assert again.share == pytest.approx(0.371182839994, abs=5e-13)
    else:
        assert again.share == pytest.approx(next_share, abs=5e-13)
        assert labels[again.partners].tolist() == next_labels


@few
@given(st.integers(0, 10), st.integers(0, 100), st.integers(1, 70), st.floats(0.05, 5))
def test_blends_depend_on_the_place_alone(epoch, step, size, alpha):
    mixing = mixup(alpha)
    mix, again, other = mixing(clock(epoch, step), size), mixing(clock(epoch, step), size), mixing(clock(epoch, step + 1), size)
    assert 0 <= mix.share <= 1
    assert sorted(mix.partners.tolist()) == list(range(size))
    assert mix.share == again.share != other.share
    assert torch.equal(mix.partners, again.partners)
