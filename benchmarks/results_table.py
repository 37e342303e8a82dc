"""Print finished runs as rows of a Markdown table, from their `run.json`, best and last epoch side by side.

python benchmarks/results_table.py NAME=FOLDER [NAME=FOLDER ...]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

COLUMNS = {"all": "accuracy", "many": "many", "medium": "medium", "few": "few", "macro-F1": "macro_f1"}


def main(words: list[str]) -> None:
    """Print the table."""
    if not words or not all("=" in word for word in words):
        sys.exit(__doc__)
    print("| run | epoch | " + " | ".join(COLUMNS) + " |")
    print("|---|---|" + "---|" * len(COLUMNS))
    for word in words:
        name, _, folder = word.partition("=")
        record = json.loads((Path(folder) / "run.json").read_text())
        if not record["finished"]:
            sys.exit(f"{folder} is not finished")
        for kind in ("best", "last"):
            result = record["results"][kind]
            print(
                f"| {name} | {kind}: {result['epoch'] + 1} | {' | '.join(percent(result[key]) for key in COLUMNS.values())} |"
            )


def percent(share: Any) -> str:
    """A share in percent; what is absent is said to be."""
    return "absent" if share is None else f"{100 * share:.2f}"


if __name__ == "__main__":
    main(sys.argv[1:])
