"""Running the paper's commands as a person does: in a working folder with the scripts, on fake data, with small networks."""

from functools import partial

import pytest
from cadel_workplace import ROOTS, SmallNet, make_workplace, put_data

from longtail.testing import FakeData, run_here, run_in_terminal
from longtail_cadel import networks


@pytest.fixture
def small_networks(monkeypatch):
    """In this process, in place of ResNets of 24 to 58 million parameters one of two thousand, and heads to match."""
    monkeypatch.setattr(networks, "create_backbone", lambda _name, *, num_classes, seed: SmallNet(num_classes, seed))


@pytest.fixture(scope="session")
def fake_data(tmp_path_factory):
    """Makes the folder `data` with one fake data set, where the paper's commands look for it."""
    return FakeData(lambda: tmp_path_factory.mktemp("work"), ROOTS)


@pytest.fixture
def workplace(tmp_path):
    """A working folder with the paper's scripts and configurations, as after `cd methods/cadel`, of small networks."""
    return make_workplace(tmp_path)


@pytest.fixture
def data(fake_data, workplace):
    """Puts fake data sets of four classes, of 12 to 1 images, into the working folder."""

    def put(*layouts):
        put_data(workplace, fake_data, layouts)
        return workplace

    return put


@pytest.fixture
def in_terminal(workplace):
    """Gives a command to a shell, byte for byte."""
    return partial(run_in_terminal, workplace)


@pytest.fixture
def run(workplace, capfd, monkeypatch):
    """Runs a command line of the paper in this process."""
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    return partial(run_here, workplace, capfd.readouterr)
