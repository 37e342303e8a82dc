"""The plot of per-class accuracy: what is drawn, read back from the figure."""

import numpy as np
import pytest

from longtail.report.canvas import STYLES
from longtail.report.plots import PerClass, per_class_plot

COUNTS = np.array([100, 30, 10, 10, 1])
FIRST = PerClass("plain", (1.0, 0.9, 0.6, 0.4, 0.0), (0.0, 0.05, 0.1, 0.1, 0.0))
SECOND = PerClass("balanced", (0.95, 0.9, 0.7, None, 0.5))


def test_a_png_is_written(tmp_path):
    pillow = pytest.importorskip("PIL.Image")
    path = tmp_path / "plot.png"
    per_class_plot(path, COUNTS, [FIRST, SECOND], title="Title", note="note")
    with pillow.open(path) as image:
        assert image.format == "PNG"
        assert image.size == (1200, 750)
        assert len(image.convert("RGB").getcolors(1 << 20)) > 50


def test_every_class_is_a_marker_at_its_size_and_accuracy(tmp_path, figures):
    per_class_plot(tmp_path / "plot.png", COUNTS, [FIRST, SECOND], title="Title", note="note")
    (drawn,) = figures[0].axes
    assert drawn.get_xscale() == "log"
    low, high = sorted(drawn.get_xlim())
    assert low < 1 < 100 < high
    assert drawn.get_xlim()[0] > drawn.get_xlim()[1]
    assert [text.get_text() for text in drawn.get_xticklabels()] == ["1", "10", "30", "100"]
    assert (drawn.figure.get_suptitle(), drawn.get_title()) == ("Title", "note")
    assert [text.get_text() for text in drawn.get_legend().get_texts()] == ["plain", "balanced"]
    for series, container, known in zip((FIRST, SECOND), drawn.containers, ([0, 1, 2, 3, 4], [0, 1, 2, 4]), strict=True):
        x, y = container.lines[0].get_data()
        np.testing.assert_allclose(x, COUNTS[known], rtol=0.04)
        np.testing.assert_allclose(y, [100 * series.mean[c] for c in known])
        assert container.has_yerr == bool(series.spread)


def test_the_line_goes_through_the_mean_of_classes_of_one_size(tmp_path, figures):
    per_class_plot(tmp_path / "plot.png", COUNTS, [FIRST], title="Title")
    np.testing.assert_allclose(figures[0].axes[0].lines[0].get_ydata(), [0, 50, 90, 100])


def test_series_differ_in_more_than_colour(tmp_path, figures):
    many = [PerClass(str(index), (0.5,) * 5) for index in range(len(STYLES))]
    per_class_plot(tmp_path / "plot.png", COUNTS, many, title="Title")
    markers = {container.lines[0].get_marker() for container in figures[0].axes[0].containers}
    assert len(markers) == len(many)


def test_many_sizes_get_decades_for_labels(tmp_path, figures):
    counts = np.arange(1, 101)
    per_class_plot(tmp_path / "plot.png", counts, [PerClass("plain", (0.5,) * 100)], title="Title")
    assert len(figures[0].axes[0].get_xticks()) < 10


def test_a_series_of_another_number_of_classes_is_refused(tmp_path):
    with pytest.raises(ValueError, match="plain has 2 classes"):
        per_class_plot(tmp_path / "plot.png", COUNTS, [PerClass("plain", (0.5, 0.5))], title="Title")
