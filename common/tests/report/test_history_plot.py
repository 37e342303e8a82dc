"""The plot of accuracy by epoch: what is drawn, read back from the figure."""

import numpy as np
import pytest

from longtail.report.canvas import STYLES
from longtail.report.plots import History, history_plot

TRAINING = History("training", (0.1, 0.3, 0.5, 0.6, 0.7))
TEST = History("test", (None, 0.2, None, 0.4, None))


def test_a_png_is_written(tmp_path):
    pillow = pytest.importorskip("PIL.Image")
    path = tmp_path / "plot.png"
    history_plot(path, [TRAINING, TEST], title="Title", note="note", quantity="balanced accuracy")
    with pillow.open(path) as image:
        assert (image.format, image.size) == ("PNG", (1200, 750))


def test_epochs_count_from_one_and_those_not_evaluated_are_left_out(tmp_path, figures):
    history_plot(tmp_path / "plot.png", [TRAINING, TEST], title="Title", note="note", quantity="balanced accuracy")
    (axes,) = figures[0].axes
    first, second = axes.lines
    np.testing.assert_array_equal(first.get_xdata(), [1, 2, 3, 4, 5])
    np.testing.assert_allclose(first.get_ydata(), [10, 30, 50, 60, 70])
    np.testing.assert_array_equal(second.get_xdata(), [2, 4])
    np.testing.assert_allclose(second.get_ydata(), [20, 40])
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["training", "test"]
    assert (figures[0].get_suptitle(), axes.get_title()) == ("Title", "note")
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("epoch", "balanced accuracy (%)")
    assert axes.get_ylim()[0] == 0


@pytest.mark.parametrize("epochs", [1, 2, 5, 300])
def test_all_ticks_are_epochs(epochs, tmp_path, figures):
    history_plot(tmp_path / "plot.png", [History("test", (0.5,) * epochs)], title="Title")
    (axes,) = figures[0].axes
    left, right = axes.get_xlim()
    assert left < 1 <= epochs < right
    ticks = [tick for tick in axes.get_xticks() if left <= tick <= right]
    assert 1 <= len(ticks) <= min(epochs, 12)
    assert all(tick == int(tick) for tick in ticks)


@pytest.mark.parametrize("epochs", [1, 5, 12, 30, 300])
def test_a_few_epochs_are_marked_and_all_where_there_are_few(epochs, tmp_path, figures):
    many = [History(str(index), (0.5,) * epochs) for index in range(len(STYLES))]
    history_plot(tmp_path / "plot.png", many, title="Title")
    every = [line.get_markevery() for line in figures[0].axes[0].lines]
    marked = [set(range(first, epochs, step)) for first, step in every]
    assert all(min(epochs, 10) <= len(each) <= 15 for each in marked)
    assert epochs < 300 or not marked[0] & marked[1]


def test_series_differ_in_more_than_colour(tmp_path, figures):
    many = [History(str(index), (0.5,) * 5) for index in range(len(STYLES))]
    history_plot(tmp_path / "plot.png", many, title="Title")
    assert len({line.get_marker() for line in figures[0].axes[0].lines}) == len(many)


@pytest.mark.parametrize("series", [[History("test", ())], [History("test", (None, None))]])
def test_nothing_evaluated_yet_is_an_empty_plot(series, tmp_path, figures):
    history_plot(tmp_path / "plot.png", series, title="Title")
    assert len(figures[0].axes[0].lines[0].get_xdata()) == 0
