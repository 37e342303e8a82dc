"""One run of a series in a process of its own: the task comes on standard input, what becomes of it goes to standard output.

Both are JSON. A line of the output tells how far the run has come, and the last one how it ended.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from longtail.errors import UserError

if TYPE_CHECKING:
    from longtail.cli.tasks import Progress, Reached, Task


def pack(task: Task) -> str:
    """A task as JSON, which `unpack` makes the task of again."""
    job = task.job
    parts = {name: asdict(getattr(job, name)) for name in ("options", "source", "runtime", "thresholds")}
    plain = {name: getattr(job, name) for name in ("backbone", "seed", "workers", "adapt", "pretrained")}
    return json.dumps(
        {
            "label": task.label,
            "folder": str(task.folder),
            "root": task.root,
            "job": {"method": job.method.name, **parts, **plain},
        }
    )


def unpack(text: str) -> Task:
    """The task that `pack` made this text of.

    Raises:
        UserError: the method is not installed.
    """
    from longtail.cli.jobs import Job, Source
    from longtail.cli.tasks import Task
    from longtail.metrics import ShotThresholds
    from longtail.training.method import load_method
    from longtail.training.runtime import RuntimeOptions

    content = json.loads(text)
    job = content.pop("job")
    method = load_method(job.pop("method"))
    made = Job(
        method=method,
        # options with several values are tuples, which JSON does not know
        options=method.options(**{name: _tuple(value) for name, value in job.pop("options").items()}),
        source=Source(**job.pop("source")),
        runtime=RuntimeOptions(**job.pop("runtime")),
        thresholds=ShotThresholds(**job.pop("thresholds")),
        **job,
    )
    return Task(content["label"], made, Path(content["folder"]), content["root"])


def _tuple(value: Any) -> Any:
    return tuple(map(_tuple, value)) if isinstance(value, list) else value


def answer(text: str, moved: Callable[[Progress], None]) -> dict[str, Any]:
    """Carry out a packed task; what came out as plain data.

    Args:
        text: the task.
        moved: told how far it has come.
    """
    from longtail.cli.series_progress import Follower
    from longtail.cli.tasks import carry_out
    from longtail.training.progress import create_progress

    try:
        task = unpack(text)
        data = task.job.source.load(task.root, task.job.runtime)
        kind = "none" if task.job.runtime.progress == "none" else "plain"
        reached = carry_out(task, data, [create_progress(kind), Follower(moved)])
    except UserError as error:
        return {"error": str(error), "is_mistake": True}
    except Exception as error:
        traceback.print_exc()
        return {"error": f"{type(error).__name__}: {error}", "is_mistake": False}
    return {"error": None, "reached": asdict(reached)}


def understand(line: bytes, log: Path) -> Progress | Reached | Exception:
    """What a line of the output says.

    Args:
        line: of JSON.
        log: where the process writes whatever else it has to tell.
    """
    from longtail.cli.tasks import Progress, Reached, RunFailed

    content: Mapping[str, Any] = json.loads(line)
    if "done" in content:
        return Progress(**content)
    if content["error"] is None:
        return Reached(**content["reached"])
    if content["is_mistake"]:
        return UserError(content["error"])
    return RunFailed(f"{content['error']} (see {log})")


def main() -> int:
    """Run as a program; exit code 130 after Ctrl-C, and where nobody listens any more."""
    output = sys.stdout

    def tell(content: Mapping[str, Any]) -> None:
        try:
            print(json.dumps(content), file=output, flush=True)
        except BrokenPipeError:
            # whoever gives the same command again must not meet this process in the same folder
            raise KeyboardInterrupt from None

    try:
        with redirect_stdout(sys.stderr):
            tell(answer(sys.stdin.read(), lambda progress: tell(asdict(progress))))
    except KeyboardInterrupt:
        # the interpreter would try once more to write what nobody reads
        os.dup2(os.open(os.devnull, os.O_WRONLY), output.fileno())
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
