"""A run of two batches on the digits, for the commands that use trained runs."""

import io

import pytest
from PIL import Image

from longtail.cli.main import dispatch
from longtail.datasets.digits import load_digits

TINY = "--backbone resnet20 --batch-size 16 --epochs 1 --device cpu --progress none"


def train(folder, words="erm --max-steps 2"):
    """Train into `folder` and return it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CUDA_VISIBLE_DEVICES", "")
        patch.setattr("sys.argv", ["longtail", "train"])
        patch.setattr("sys.stdout", io.StringIO())
        dispatch(["train", *words.split(), *TINY.split(), "--out", str(folder)])
    return folder


def write_digits(folder, each=2):
    """The first test images of each digit as PNG files in class folders; returns the folder."""
    test = load_digits().test
    for label, name in enumerate(test.class_names):
        (folder / name).mkdir(parents=True)
        for number, array in enumerate(test.images.array[test.labels == label][:each]):
            Image.fromarray(array).save(folder / name / f"{number}.png")
    return folder
