"""Runs as one HTML file that needs nothing else: no network, no script, no other file."""

from longtail.report.html.compared import Compared, find_comparison, read_comparison
from longtail.report.html.page import LIMIT, build_page
from longtail.report.html.predicted import Predicted, predict_on
from longtail.report.html.runs import ReportedRun, find_runs, read_run

__all__ = [
    "LIMIT",
    "Compared",
    "Predicted",
    "ReportedRun",
    "build_page",
    "find_comparison",
    "find_runs",
    "predict_on",
    "read_comparison",
    "read_run",
]
