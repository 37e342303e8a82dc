"""How plots fail: the user's matters are said in a line or two."""

import sys
from functools import partial

import pytest

from longtail.errors import UserError
from longtail.report.plots import History, PerClass, class_bars_plot, history_plot, per_class_plot

ACCURACY = PerClass("plain", (0.9, 0.1))


@pytest.fixture(
    params=[
        partial(per_class_plot, class_counts=(10, 1), series=[ACCURACY], title="Title"),
        partial(class_bars_plot, class_names=("a", "b"), class_counts=(10, 1), series=[ACCURACY], title="Title"),
        partial(history_plot, series=[History("test", (0.1, 0.2))], title="Title"),
    ],
    ids=lambda plot: plot.func.__name__,
)
def plot(request):
    return request.param


def test_without_matplotlib_the_extra_is_named(plot, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(UserError, match=r"longtail-common\[report\]"):
        plot(tmp_path / "plot.png")


def test_a_plot_that_cannot_be_written_is_the_users_matter(plot, tmp_path):
    with pytest.raises(UserError, match="cannot write"):
        plot(tmp_path / "no folder" / "plot.png")


def test_dollar_signs_make_no_formula(plot, tmp_path):
    plot.func(tmp_path / "plot.png", **plot.keywords | {"title": r"$\no formula$", "note": "$_$"})
    assert (tmp_path / "plot.png").stat().st_size > 1000
