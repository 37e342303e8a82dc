"""An evaluation as plain text."""

from __future__ import annotations

from collections.abc import Sequence

from longtail.metrics import Summary


def summary_text(summary: Summary, class_names: Sequence[str]) -> str:
    """All metrics of an evaluation, one a line; shares in percent, `absent` for what does not exist.

    Args:
        summary: the evaluation.
        class_names: C names.
    """
    worst = f"{class_names[summary.worst_class]} (class {summary.worst_class})"
    rows = {
        "test images": str(summary.samples),
        "accuracy": _percent(summary.accuracy),
        f"top-{summary.top_k} accuracy": _percent(summary.top5),
        "balanced accuracy": _percent(summary.balanced_accuracy),
        "many-shot": _percent(summary.many),
        "medium-shot": _percent(summary.medium),
        "few-shot": _percent(summary.few),
        "macro-F1": _percent(summary.macro_f1),
        "worst class": f"{_percent(summary.worst_accuracy)}  {worst}",
        "calibration error": _percent(summary.ece),
        "log loss": f"{summary.nll:.4f}",
    }
    width = max(map(len, rows)) + 2
    return "\n".join(f"{name:<{width}}{value}" for name, value in rows.items())


def _percent(share: float | None) -> str:
    return "absent" if share is None else f"{100 * share:.2f} %"
