"""Plots of results, one a module."""

from longtail.report.class_bars import class_bars_plot
from longtail.report.class_sizes import class_sizes_plot
from longtail.report.history import History, history_plot
from longtail.report.per_class import PerClass, per_class_plot

__all__ = ["History", "PerClass", "class_bars_plot", "class_sizes_plot", "history_plot", "per_class_plot"]
