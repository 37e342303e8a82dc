"""Running the paper's commands as a person does: in a working folder with the scripts, on fake data."""

from functools import partial
from pathlib import Path

import pytest

from longtail.testing import FakeData, link_scripts, run_here, run_in_terminal

METHOD = Path(__file__).parents[1]
ROOTS = {"cifar10": "data/CIFAR10", "cifar100": "data/CIFAR100", "imagenet-lt": "data/fake", "inat18": "data/fake"}
"""Where the commands look for CIFAR, and where these tests tell them to look for the others."""


@pytest.fixture(scope="session")
def fake_data(tmp_path_factory):
    """Makes the folder `data` with one fake data set."""
    return FakeData(lambda: tmp_path_factory.mktemp("work"), ROOTS)


@pytest.fixture
def workplace(tmp_path):
    """A working folder with the paper's scripts, as after `cd methods/dpa_ei`."""
    return link_scripts(METHOD, tmp_path)


@pytest.fixture
def data(fake_data, workplace):
    """Puts a fake data set into the working folder."""

    def put(layout, **size):
        (workplace / "data").symlink_to(fake_data(layout, **size))
        return workplace

    return put


@pytest.fixture
def small_cifar(data):
    """The working folder with a CIFAR-10 of which 2 meta images a class and factor 0.1 leave 69 images, 18 to 1 a class."""
    return data("cifar10", largest_class=20, test_per_class=3)


@pytest.fixture
def in_terminal(workplace):
    """Gives a command to a shell, byte for byte."""
    return partial(run_in_terminal, workplace)


@pytest.fixture
def run(workplace, capfd):
    """Runs a command line of the paper in this process."""
    return partial(run_here, workplace, capfd.readouterr)
