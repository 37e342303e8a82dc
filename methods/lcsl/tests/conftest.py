"""Running the paper's command as a person does: in a working folder with the script, on fake data."""

from functools import partial
from pathlib import Path

import pytest

from longtail.testing import FakeData, link_scripts, run_here, run_in_terminal

METHOD = Path(__file__).parents[1]
ROOTS = {
    "cifar10": "datasets",
    "cifar100": "datasets",
    "imagenet-lt-csv": "datasets/ImageNet-LT",
    "imagenet-lt": "datasets/ImageNet-LT",
    "inat18-json": "datasets",
    "inat18": "datasets",
}
"""Where the paper's command looks for each data set, and for its published lists."""


@pytest.fixture(scope="session")
def fake_data(tmp_path_factory):
    """Makes the folder `datasets` with one fake data set, where the paper's command looks for it."""
    return FakeData(lambda: tmp_path_factory.mktemp("work"), ROOTS)


@pytest.fixture
def workplace(tmp_path):
    """A working folder with the paper's script, as after `cd methods/lcsl`."""
    return link_scripts(METHOD, tmp_path)


@pytest.fixture
def data(fake_data, workplace):
    """Puts a fake data set into the working folder."""

    def put(layout, **size):
        (workplace / "datasets").symlink_to(fake_data(layout, **size))
        return workplace

    return put


@pytest.fixture
def small_cifar(data):
    """The working folder with a CIFAR-10 of which factor 0.1 leaves 20, 15, 11, 9, 7, 5, 4, 3, 2 and 2 images."""
    return data("cifar10", largest_class=20, test_per_class=3)


@pytest.fixture
def in_terminal(workplace):
    """Gives a command to a shell, byte for byte."""
    return partial(run_in_terminal, workplace)


@pytest.fixture
def run(workplace, capfd):
    """Runs a command line of the paper in this process."""
    return partial(run_here, workplace, capfd.readouterr)
