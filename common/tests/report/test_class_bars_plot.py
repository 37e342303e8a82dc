"""The plot of accuracy class by class: what is drawn, read back from the figure."""

from itertools import pairwise

import numpy as np
import pytest

from longtail.report.plots import PerClass, class_bars_plot

NAMES = ("cat", "dog", "$owl$", "a name of very many characters", "eel")
COUNTS = (1000, 100, 30, 10, 0)
FIRST = PerClass("plain", (1.0, 0.9, None, 0.4, 0.0))
SECOND = PerClass("normalised", (0.9, 0.95, None, 0.6, 0.2))


def plot(path, series, names=NAMES, counts=COUNTS):
    class_bars_plot(path / "plot.png", names, counts, series, title="Title", note="note")


def of_size(classes):
    series = PerClass("plain", (0.5,) * classes), PerClass("normalised", (0.6,) * classes)
    return series, [f"class {index}" for index in range(classes)], np.arange(classes, 0, -1)


def test_a_png_is_written(tmp_path):
    pillow = pytest.importorskip("PIL.Image")
    plot(tmp_path, [FIRST, SECOND])
    with pillow.open(tmp_path / "plot.png") as image:
        assert (image.format, image.size) == ("PNG", (1200, 825))


def test_bars_stand_side_by_side_at_their_class(tmp_path, figures):
    plot(tmp_path, [FIRST, SECOND])
    axes, _ = figures[0].axes
    for series, bars in zip((FIRST, SECOND), axes.containers, strict=True):
        expected = [np.nan if share is None else 100 * share for share in series.mean]
        np.testing.assert_allclose([bar.get_height() for bar in bars], expected)
    for at, (first, second) in enumerate(zip(*axes.containers, strict=True)):
        edges = first.get_x(), first.get_x() + first.get_width(), second.get_x(), second.get_x() + second.get_width()
        assert edges == pytest.approx((at - 0.4, at, at, at + 0.4))
    assert (figures[0].get_suptitle(), axes.get_title()) == ("Title", "note")


def test_one_series_is_centred(tmp_path, figures):
    plot(tmp_path, [FIRST])
    (bars,) = figures[0].axes[0].containers
    assert [bar.get_x() + bar.get_width() / 2 for bar in bars] == pytest.approx(range(5))


def test_series_differ_in_more_than_colour(tmp_path, figures):
    plot(tmp_path, [FIRST, SECOND])
    assert [bars[0].get_hatch() for bars in figures[0].axes[0].containers] == [None, "//////"]
    plot(tmp_path, *of_size(200))
    assert [line.get_marker() for line in figures[1].axes[0].lines] == ["o", "x"]


def test_classes_are_named_in_order_without_formulas(tmp_path, figures):
    plot(tmp_path, [FIRST, SECOND])
    labels = figures[0].axes[0].get_xticklabels()
    assert [label.get_text() for label in labels] == ["cat", "dog", "$owl$", "a name of very many cha…", "eel"]
    assert not any(label.get_parse_math() for label in labels)


def test_the_line_of_class_sizes_leaves_out_empty_classes(tmp_path, figures):
    plot(tmp_path, [FIRST, SECOND])
    _, sizes = figures[0].axes
    assert sizes.get_yscale() == "log"
    np.testing.assert_array_equal(sizes.lines[0].get_ydata(), [1000, 100, 30, 10, np.nan])


@pytest.mark.parametrize("counts", [(70,) * 5, (1,) * 5, (0,) * 5, (30, 31, 32, 33, 34), (100_000, 10, 10, 1, 1)])
def test_sizes_have_a_few_ticks_in_plain_numbers(counts, tmp_path, figures):
    plot(tmp_path, [FIRST], counts=counts)
    _, sizes = figures[0].axes
    low, high = sizes.get_ylim()
    shown = [label.get_text() for label in sizes.get_yticklabels() if low <= label.get_position()[1] <= high]
    assert 1 <= len(shown) <= 12
    assert all(float(text) for text in shown)


def test_a_class_without_test_images_is_told_from_one_never_right(tmp_path, figures):
    plot(tmp_path, [FIRST, SECOND])
    (crosses,) = figures[0].axes[0].lines
    assert crosses.get_xdata() == pytest.approx([1.8, 2.2])
    (legend,) = figures[0].legends
    assert [text.get_text() for text in legend.get_texts()] == ["plain", "normalised", "training images", "no test images"]


def test_no_cross_is_explained_where_there_is_none(tmp_path, figures):
    plot(tmp_path, *of_size(10))
    assert [text.get_text() for text in figures[0].legends[0].get_texts()] == ["plain", "normalised", "training images"]


@pytest.mark.parametrize("classes", [10, 21, 60, 100, 120])
def test_names_do_not_overlap_and_nothing_leaves_the_picture(classes, tmp_path, figures):
    series, names, counts = of_size(classes)
    plot(tmp_path, series, [f"aquarium_fish_{name}" for name in names], counts)
    figure = figures[0]
    labels = [label.get_window_extent() for label in figure.axes[0].get_xticklabels()]
    assert len(labels) == classes
    if classes > 20:
        assert all(first.x1 <= second.x0 for first, second in pairwise(labels))
    assert all(label.x0 >= 0 and label.y0 >= 0 for label in labels)
    legend = figure.legends[0].get_window_extent()
    assert legend.x0 >= 0
    assert legend.x1 <= figure.bbox.x1
    assert legend.y1 <= min(label.y0 for label in labels)


def test_more_classes_than_can_be_named_are_points(tmp_path, figures):
    plot(tmp_path, *of_size(121))
    axes, sizes = figures[0].axes
    assert not axes.containers
    assert len(axes.get_xticks()) < 20
    np.testing.assert_allclose(axes.lines[0].get_ydata(), 50)
    np.testing.assert_array_equal(axes.lines[1].get_xdata(), np.arange(121))
    assert len(sizes.lines[0].get_ydata()) == 121


@pytest.mark.parametrize(
    ("series", "names", "message"),
    [
        ([PerClass("short", (0.5,))], NAMES, "short has 1 classes"),
        ([FIRST], NAMES[:3], "3 names of 5 classes"),
        ([], NAMES, "one or two series, not 0"),
        ([FIRST] * 3, NAMES, "one or two series, not 3"),
    ],
)
def test_what_does_not_fit_is_refused(series, names, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        plot(tmp_path, series, names)
