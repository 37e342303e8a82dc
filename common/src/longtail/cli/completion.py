"""`longtail completion SHELL`: a script by which a shell completes `longtail` command lines."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from longtail.cli.parsing import Parser
from longtail.names import BACKBONES, PROFILES
from longtail.training.method import load_method
from longtail.training.registry import installed_methods

SHELLS = ("bash", "zsh", "tcsh")
_FILES = frozenset({"FILE", "PATH", "NAME|PATH", "IMAGES", "PRIOR"})
_FOLDERS = frozenset({"DIR", "RUN"})
_EXAMPLES = """\
examples:
  longtail completion bash > ~/.longtail.bash
  longtail completion zsh > ~/.zfunc/_longtail
  longtail completion tcsh > ~/.longtail.tcsh

Then bash reads it by `source ~/.longtail.bash` in ~/.bashrc, tcsh by `source ~/.longtail.tcsh` in ~/.tcshrc, and
zsh by `fpath=(~/.zfunc $fpath); autoload -U compinit; compinit` in ~/.zshrc."""


def add_parser(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "completion",
        help="print a script that lets a shell complete commands",
        description="Print a script that makes the Tab key complete commands, options, methods and file names. It knows the "
        "methods that are installed when it is printed, and their options.",
        epilog=_EXAMPLES,
    )
    parser.add_argument("shell", metavar="SHELL", choices=SHELLS, help=", ".join(SHELLS))
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Print the script."""
    import shtab

    from longtail.cli.main import create_parser  # which itself needs this module

    parser = create_parser()
    commands = _commands(parser).choices
    commands["train"] = _train_parser()
    words = _words()
    for each in _arguments(parser):
        known = next((words[flag] for flag in each.option_strings if flag in words), None)
        if each.choices is None and known is not None:
            each.choices = known
        elif each.metavar in _FILES | _FOLDERS:
            # the attribute is how shtab is told
            each.complete = shtab.FILE if each.metavar in _FILES else shtab.DIRECTORY  # type: ignore[attr-defined]
    # where shtab knows nothing, its script for tcsh offers nothing; bash and zsh offer files there
    print(shtab.complete(parser, arguments.shell).replace("'p/*/()/'", "'p/*/f/'"))


def _commands(parser: argparse.ArgumentParser) -> argparse._SubParsersAction[Any]:
    (found,) = (each for each in parser._actions if isinstance(each, argparse._SubParsersAction))
    return found


def _train_parser() -> Parser:
    """A parser of `longtail train` with a parser for each method in it, where the real one loads but the method asked for."""
    from longtail.cli.train import create_method_parser

    parser = Parser(prog="longtail train")
    methods = parser.add_subparsers(metavar="METHOD")
    for name in installed_methods():
        try:
            known = create_method_parser(load_method(name))
        except Exception as error:  # whatever a broken package raises, the others can be completed
            print(f"notice: {name} is completed without its options: {type(error).__name__}: {error}", file=sys.stderr)
            methods.add_parser(name, help=name)
        else:
            methods.add_parser(name, help=name, description=known.description, parents=[known], add_help=False)
    return parser


def _words() -> Mapping[str, Sequence[str]]:
    """What may follow options for which the parser takes any word, because only a longer look tells whether it is right."""
    from longtail.cli.contenders import SHORT_NAMES

    contenders = sorted({*installed_methods(), *SHORT_NAMES})
    return {
        "--methods": contenders,
        "--baseline": contenders,
        "--backbone": BACKBONES,
        "--device": ("auto", "cpu", "cuda"),
        "--profile": PROFILES,
    }


def _arguments(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Every argument of a parser and of the parsers below it."""
    for each in parser._actions:
        if isinstance(each, argparse._SubParsersAction):
            for below in each.choices.values():
                yield from _arguments(below)
        else:
            yield each
