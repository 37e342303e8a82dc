"""What this package says was published: its figures stand in the documents, its commands are those of the scripts."""

import re
import shlex
from pathlib import Path

import pytest

from longtail.training.published import offered
from longtail_lcsl.published import PUBLISHED

METHOD = Path(__file__).parents[1]
README = (METHOD / "README.md").read_text().replace("\\\n", "")
RESULTS = (METHOD.parents[1] / "docs" / "results.md").read_text()
BY_NAME = {each.name: each for each in PUBLISHED}
COMMANDS = {f"{each.name}-{number}": command for each in PUBLISHED for number, command in enumerate(each.commands)}


def test_the_package_offers_them():
    assert {f"lcsl/{name}": each for name, each in BY_NAME.items()}.items() <= offered()[0].items()
    assert len(BY_NAME) == len(PUBLISHED)


@pytest.mark.parametrize("name", BY_NAME)
def test_every_figure_stands_in_the_documents(name):
    told = BY_NAME[name]
    again = (f"{value:.2f}" for each in told.reruns for value in each.accuracies)
    for figure in (*map(str, told.figures.values()), *again):
        assert re.search(rf"(?<![\d.]){re.escape(figure)}(?![\d.])", README + RESULTS), figure


@pytest.mark.parametrize("name", COMMANDS)
def test_command(name):
    command = COMMANDS[name]
    program, script, *words = shlex.split(command.line)
    assert program == "python"
    assert (METHOD / script).is_file()
    assert command.words == words
    assert command.changed([]) == []
    assert command.knows(["--max-epochs", "1", "--resume-auto"])
    assert not command.knows(["--nobodys"])
    assert command.where <= vars(command.create_parser().parse_args(words)).keys()
    assert _in_readme(command)


def _in_readme(command):
    """The README gives it for one data set, and the names of the others."""
    dataset = re.search(r"--dataset='(\w+)'", command.line)[1]
    given = command.line.replace(f"'{dataset}'", "'cifar100'") in README.splitlines()
    return given and (f"`--dataset={dataset}`" in README or f"`{dataset}`" in README or dataset == "cifar100")
