"""Runs as one HTML file that needs nothing else: no network, no script, no other file."""

from longtail.report.html.page import LIMIT, build_page
from longtail.report.html.predicted import Predicted, predict_on
from longtail.report.html.runs import ReportedRun, find_runs, read_run

__all__ = ["LIMIT", "Predicted", "ReportedRun", "build_page", "find_runs", "predict_on", "read_run"]
