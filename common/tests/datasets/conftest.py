from pathlib import Path

import pytest

from longtail.datasets.fake import write_fake


@pytest.fixture(scope="session")
def cifar100_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with 20 fake images per class of CIFAR-100. Tests copy before they damage it."""
    root = tmp_path_factory.mktemp("cifar100")
    write_fake("cifar100", root, largest_class=20, test_per_class=2)
    return root


@pytest.fixture(scope="session")
def cifar10_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cifar10")
    write_fake("cifar10", root, largest_class=100, test_per_class=10)
    return root
