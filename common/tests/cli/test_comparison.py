"""Means and spreads over seeds, in table and plain data."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from longtail.cli.comparison import Outcome, comparison_table, with_spread
from longtail.metrics.over_seeds import mean_and_spread


def result(accuracy, *, few=0.25):
    shares = dict.fromkeys(("accuracy", "many", "medium", "balanced_accuracy", "macro_f1", "worst_accuracy", "ece"), accuracy)
    return {**shares, "few": few, "per_class_accuracy": [accuracy, None]}


@pytest.fixture
def outcome():
    made = Outcome("plain")
    for seed, accuracy in enumerate((0.5, 0.6, 0.8)):
        made.add(seed, result(accuracy, few=None if seed else 0.25), Path(f"runs/{seed}"), 10.0 + seed)
    return made


@given(st.lists(st.floats(0, 1), min_size=2, max_size=8))
@settings(derandomize=True, deadline=None, max_examples=50)
def test_mean_and_sample_standard_deviation(values):
    mean, spread = mean_and_spread(values)
    assert mean == pytest.approx(np.mean(values), abs=1e-12)
    assert spread == pytest.approx(np.std(values, ddof=1), abs=1e-7)


@pytest.mark.parametrize(
    ("values", "expected"), [([0.5], (0.5, None)), ([0.5, None], (None, None)), ([None], (None, None)), ([], (None, None))]
)
def test_what_is_unknown_stays_unknown(values, expected):
    assert mean_and_spread(values) == expected


@pytest.mark.parametrize(
    ("statistic", "text"), [((0.5, 0.0123), "50.0 ± 1.2"), ((0.987654, None), "98.8"), ((None, None), "absent")]
)
def test_percent_with_spread(statistic, text):
    assert with_spread(statistic) == text


def test_table(outcome):
    console = Console(width=100, file=io.StringIO())
    console.print(comparison_table([outcome], "Title"))
    text = console.file.getvalue()
    assert "63.3 ± 15.3" in text
    assert "absent" in text


def test_plain_data_holds_every_number(outcome):
    data = outcome.to_dict()
    assert json.loads(json.dumps(data)) == data
    assert data["mean"]["accuracy"] == pytest.approx(0.6333333)
    assert data["sample_standard_deviation"]["accuracy"] == pytest.approx(0.1527525)
    assert data["mean"]["few"] is None
    assert data["mean"]["per_class_accuracy"] == [pytest.approx(0.6333333), None]
    assert [run["seed"] for run in data["runs"]] == [0, 1, 2]
    assert [run["test"]["accuracy"] for run in data["runs"]] == [0.5, 0.6, 0.8]
    assert data["runs"][2]["folder"] == "runs/2"
