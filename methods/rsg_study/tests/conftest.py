"""Running the study's commands as a person does: in a working folder with the scripts, on fake data."""

from functools import partial
from pathlib import Path

import pytest

from longtail.testing import FakeData, link_scripts, run_here, run_in_terminal

METHOD = Path(__file__).parents[1]
ROOTS = {"mini-imagenet": "data/mini-ImageNet"}
"""Where the study's commands look for the data set."""


@pytest.fixture(scope="session")
def fake_data(tmp_path_factory):
    """Makes the folder `data` with one fake data set, where the study's commands look for it."""
    return FakeData(lambda: tmp_path_factory.mktemp("work"), ROOTS)


@pytest.fixture
def workplace(tmp_path):
    """A working folder with the study's scripts, as after `cd methods/rsg_study`."""
    return link_scripts(METHOD, tmp_path)


@pytest.fixture
def mini(fake_data, workplace):
    """The working folder with 5 classes of 16, 9, 6, 3 and 2 training images, and 2 of each for validation and test."""
    (workplace / "data").symlink_to(fake_data("mini-imagenet", num_classes=5, largest_class=16, test_per_class=2))
    return workplace


@pytest.fixture
def in_terminal(workplace):
    """Gives a command to a shell, byte for byte."""
    return partial(run_in_terminal, workplace)


@pytest.fixture
def run(workplace, capfd):
    """Runs a command line of the study in this process."""
    return partial(run_here, workplace, capfd.readouterr)
