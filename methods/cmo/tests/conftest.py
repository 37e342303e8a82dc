"""Running the paper's commands as a person does: in a working folder with the scripts, on fake data."""

from functools import partial
from pathlib import Path

import pytest

from longtail.testing import FakeData, link_scripts, run_here, run_in_terminal

METHOD = Path(__file__).parents[1]
ROOTS = {"cifar100": "data", "imagenet-lt": "data/ILSVRC", "inat18": "data/iNat2018"}
"""Where the paper's commands look for each data set."""


@pytest.fixture(scope="session")
def fake_data(tmp_path_factory):
    """Makes the folder `data` with one fake data set, where the paper's commands look for it."""
    return FakeData(lambda: tmp_path_factory.mktemp("work"), ROOTS)


@pytest.fixture
def workplace(tmp_path):
    """A working folder with the paper's scripts, as after `cd methods/cmo`."""
    return link_scripts(METHOD, tmp_path)


@pytest.fixture
def in_terminal(workplace):
    """Gives a command to a shell, byte for byte."""
    return partial(run_in_terminal, workplace)


@pytest.fixture
def run(workplace, capfd):
    """Runs a command line of the paper in this process."""
    return partial(run_here, workplace, capfd.readouterr)
