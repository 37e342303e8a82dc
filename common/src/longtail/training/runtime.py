"""The options that every script of every paper shares: how to run, never what the paper does."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, NoReturn

from longtail.errors import UserError
from longtail.names import ON_BAD_IMAGE
from longtail.training.options import add_options, at_least, between, option, read_options

ADDOPTS = "LONGTAIL_ADDOPTS"


_positive = at_least(1)


@dataclass(frozen=True)
class RuntimeOptions:
    """How a run is carried out. The metadata of each field is its command-line option."""

    device: str = option("auto", "auto (CUDA where there is one), cpu, cuda or cuda:N", metavar="DEVICE")
    precision: str = option("float32", "float32, or bf16 for bfloat16 autocast", choices=("float32", "bf16"))
    compile: bool = option(False, "compile the network with torch.compile")
    channels_last: bool = option(True, "channels_last memory format")
    max_epochs: int | None = option(None, "train at most N epochs of the planned ones", type=_positive, metavar="N")
    max_steps: int | None = option(
        None, "at most N batches in every epoch, training and evaluation", type=_positive, metavar="N"
    )
    select: str = option(
        "test",
        "what chooses the best epoch: the test set (as the papers did), held-out training images, or nothing (last)",
        choices=("test", "val", "last"),
    )
    val_fraction: float = option(
        0.1, "share of each class held out with --select val", type=between(0, 0.9, least_excluded=True), metavar="F"
    )
    eval_every: int = option(1, "evaluate every N epochs, and after the last", type=_positive, metavar="N")
    on_bad_image: str = option(
        "fail",
        "what an image that cannot be read does: stop the run, or be left out, from the class counts too",
        choices=ON_BAD_IMAGE,
    )
    resume_auto: bool = option(False, "continue from this run's own last checkpoint, if there is one")
    checkpoint_every: int | None = option(
        None, "save a checkpoint every N batches, besides each epoch's", type=_positive, metavar="N"
    )
    accumulate: int = option(1, "batches whose gradients one optimiser step adds up", type=_positive, metavar="N")
    clip_norm: float | None = option(
        None, "clip the gradient's L2 norm to X", type=between(0, least_excluded=True), metavar="X"
    )
    progress: str = option(
        "auto", "a live bar, plain lines, or neither; auto is a bar on a terminal", choices=("auto", "bar", "plain", "none")
    )

    @classmethod
    def from_arguments(cls, arguments: argparse.Namespace) -> RuntimeOptions:
        """The options out of a parsed command line that `add_runtime_options` prepared."""
        return read_options(arguments, cls)


def add_runtime_options(
    parser: argparse.ArgumentParser, *, depending: Mapping[str, str] | None = None
) -> argparse._ArgumentGroup:
    """Add the group "longtail options" to a script's parser, and return it.

    Args:
        parser: the script's.
        depending: options whose default hangs on other flags, see `add_options`.
    """
    group = parser.add_argument_group("longtail options", f"shared by every command; {ADDOPTS} in the environment appends more")
    add_options(group, RuntimeOptions, depending=depending)
    return group


def own_flags(arguments: argparse.Namespace, *, but: Collection[str] = ()) -> dict[str, Any]:
    """A script's flags by name, without the shared options: what identifies a run besides those.

    Args:
        arguments: the parsed command line.
        but: flags that say where or how, and may change between an interrupted run and its continuation.
    """
    shared = {each.name for each in fields(RuntimeOptions)}
    return {name: value for name, value in vars(arguments).items() if name not in shared and name not in but}


class PaperParser(argparse.ArgumentParser):
    """A parser for a paper's script: an abbreviation that one of the paper's own flags resolves means that flag.

    The papers' scripts accept any unambiguous prefix of a long flag. Options that this project adds must not make such a
    prefix ambiguous, so the paper's flags are looked at first.
    """

    def error(self, message: str) -> NoReturn:
        """Leave with exit code 2 and two lines; the usage of a paper's script would fill a screen."""
        self.exit(2, f"{self.prog}: error: {message}\nsee {self.prog} --help\n")

    def _get_option_tuples(self, option_string: str) -> list[Any]:
        found: list[Any] = super()._get_option_tuples(option_string)
        shared = {
            id(action) for group in self._action_groups if group.title == "longtail options" for action in group._group_actions
        }
        of_paper = [each for each in found if id(each[0]) not in shared]
        # two spellings of one flag are no ambiguity
        return list({id(each[0]): each for each in of_paper or found}.values())


def command_line(argv: Sequence[str]) -> list[str]:
    """The arguments of a command with those of `LONGTAIL_ADDOPTS` appended.

    Raises:
        UserError: the variable is not a well-formed shell string.
    """
    try:
        return [*argv, *shlex.split(os.environ.get(ADDOPTS, ""))]
    except ValueError as error:
        raise UserError(f"{ADDOPTS} cannot be split into options: {error}") from error
