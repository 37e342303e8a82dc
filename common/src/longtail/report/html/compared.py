"""What `longtail compare` found of the runs, from the file that it leaves beside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from longtail.datasets.findings import shown
from longtail.errors import UserError
from longtail.metrics.over_seeds import ENOUGH, mean_and_spread
from longtail.report.html.runs import Member
from longtail.report.scores import scores
from longtail.training.files import read_json

COMPARISON = "comparison.json"

HEADINGS = scores("all", "balanced", "many", "medium", "few", "macro-F1", "worst class", "calibration error")


@dataclass(frozen=True)
class Contender:
    """A method of a comparison.

    Args:
        name: what the comparison calls it.
        runs: seeds that were finished.
        results: mean ± standard deviation of each score of `HEADINGS`, in percent.
        train_time: mean ± standard deviation of the time in training.
        differences: contender minus baseline in points, with half of the 95 % interval where the seeds are enough for one;
            None for the baseline.
        verdict: what they say, in words.
        failures: what seeds failed of, each with the seeds.
    """

    name: str
    runs: int
    results: list[str]
    train_time: str
    differences: list[str] | None
    verdict: str
    failures: list[str]


@dataclass(frozen=True)
class Compared:
    """A comparison.

    Args:
        data: what was trained on.
        baseline: name of the contender that the others are compared with.
        contenders: all of them, in their order.
        notes: what makes sense of the numbers.
        members: what its runs are, by the names of their folders; the first contender's first.
    """

    data: str
    baseline: str
    contenders: list[Contender]
    notes: list[str]
    members: dict[str, Member]


def find_comparison(paths: Iterable[str | Path]) -> Path | None:
    """The file of the comparison, where one folder is reported, and it is that of a comparison or its `runs`."""
    folders = list(dict.fromkeys(Path(path).expanduser().resolve() for path in paths))
    if len(folders) != 1:
        return None
    (folder,) = folders
    places = (folder, folder.parent) if folder.name == "runs" else (folder,)
    return next((place / COMPARISON for place in places if (place / COMPARISON).is_file()), None)


def read_comparison(file: Path) -> Compared:
    """What the file tells.

    Raises:
        UserError: it is damaged.
    """
    found = read_json(file)
    try:
        return Compared(
            data=shown(str(found["data"])),
            baseline=shown(found["baseline"]),
            contenders=[_contender(each) for each in found["methods"]],
            notes=[shown(each) for each in found["notes"]],
            members={
                Path(run["folder"]).name: Member(shown(each["label"]), int(run["seed"]))
                for each in found["methods"]
                for run in each["runs"]
            },
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{shown(file)} is not a comparison: give its command once more, or the folders of its runs") from error


def _contender(found: Mapping[str, Any]) -> Contender:
    differences = found["difference"]
    return Contender(
        name=shown(found["label"]),
        runs=len(found["runs"]),
        results=[spread(found["mean"][each], found["sample_standard_deviation"][each]) for each in HEADINGS.values()],
        train_time=_time([float(run["train_seconds"]) for run in found["runs"]]),
        differences=None if differences is None else [_difference(differences[each]) for each in HEADINGS.values()],
        verdict=shown(found["verdict"]),
        failures=_failures(found["failures"]),
    )


def spread(mean: float | None, deviation: float | None) -> str:
    """Mean and standard deviation of shares in percent, as in `83.4 ± 1.2`."""
    if mean is None:
        return "absent"
    return f"{100 * mean:.1f}" + ("" if deviation is None else f" ± {100 * deviation:.1f}")


def _difference(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "absent"
    half = found["half_width"] if found["pairs"] >= ENOUGH else None
    # a minus is as wide as a plus, a hyphen is not
    return f"{100 * found['mean']:+.1f}".replace("-", "\N{MINUS SIGN}") + ("" if half is None else f" ± {100 * half:.1f}")


def _time(seconds: Sequence[float]) -> str:
    mean, deviation = mean_and_spread(seconds)
    if mean is None:
        return "absent"
    unit, size = ("s", 1) if mean < 120 else ("min", 60)
    return f"{mean / size:.1f}{'' if deviation is None else f' ± {deviation / size:.1f}'} {unit}"


def _failures(found: Mapping[str, str]) -> list[str]:
    """What failed, once where several seeds failed of the same."""
    seeds: dict[str, list[str]] = {}
    for seed, text in found.items():
        seeds.setdefault(shown(" ".join(text.split())), []).append(seed)
    return [f"seed {', '.join(which)}: {text}" for text, which in seeds.items()]
