"""One run of a comparison in a process of its own: the task comes on standard input, the answer goes to standard output."""

from __future__ import annotations

import json
import pickle
import sys
import traceback
from contextlib import redirect_stdout
from dataclasses import asdict
from typing import Any

from longtail.errors import UserError


def answer(content: bytes) -> dict[str, Any]:
    """Carry out a pickled task; what came out as plain data."""
    from longtail.cli.series import Task, carry_out

    try:
        task: Task = pickle.loads(content)
        data = task.job.source.load(task.root, task.job.runtime)
        reached = carry_out(task, data)
    except UserError as error:
        return {"error": str(error), "is_mistake": True}
    except Exception as error:
        traceback.print_exc()
        return {"error": f"{type(error).__name__}: {error}", "is_mistake": False}
    return {"error": None, "reached": asdict(reached)}


def main() -> int:
    """Run as a program; exit code 130 after Ctrl-C."""
    try:
        with redirect_stdout(sys.stderr):
            said = answer(sys.stdin.buffer.read())
    except KeyboardInterrupt:
        return 130
    print(json.dumps(said))
    return 0


if __name__ == "__main__":
    sys.exit(main())
