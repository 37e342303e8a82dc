"""A paper's script in a process of its own, as `python SCRIPT` runs it; packages have what it calls, but not its file."""

from __future__ import annotations

import sys

from longtail.training.published import offered


def main() -> None:
    """Run as a program, given `METHOD/NAME`, the number of one of its commands, and the script's arguments."""
    name, number, *words = sys.argv[1:]
    command = offered()[0][name].commands[int(number)]
    sys.argv = [command.script, *words]
    command.console()


if __name__ == "__main__":
    main()
