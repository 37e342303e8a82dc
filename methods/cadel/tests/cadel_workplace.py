"""A working folder as the paper's scripts find it, with fake data of four classes, and networks that train in milliseconds."""

import re
from pathlib import Path

import torch
from torch import nn

from longtail.backbones import StagedBackbone
from longtail.testing import link_scripts

METHOD = Path(__file__).parents[1]
ROOTS = {"imagenet-lt": "data/ImageNet_LT", "places-lt": "data/Places_LT", "inat18": "data/iNaturalist18"}
"""Where the commands look for each data set."""
FOUR = {"num_classes": 4, "largest_class": 12, "test_per_class": 2}
SMALL = {"embed_dim": 24, "num_heads": 4, "patch_size": 8, "img_size|image_size": 32, "num_classes|out_dims": 4}
"""What of the paper's configurations is replaced, so that a network trains in milliseconds."""


class SmallNet(StagedBackbone):
    """A stem and four stages of as many blocks as a ResNet-50 has, each block a convolution and a batch normalisation."""

    num_features = 16
    stage_widths = (4, 4, 8, 16)

    def __init__(self, num_classes, seed):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.conv1 = nn.Conv2d(3, 4, 3, stride=2, padding=1)
            inputs = 4
            for number, (blocks, width) in enumerate(zip((3, 4, 6, 3), self.stage_widths, strict=True), start=1):
                layers = [self._block(inputs if block == 0 else width, width) for block in range(blocks)]
                setattr(self, f"layer{number}", nn.Sequential(*layers))
                inputs = width
            self.fc = nn.Linear(16, num_classes)

    @staticmethod
    def _block(inputs, width):
        return nn.Sequential(nn.Conv2d(inputs, width, 1), nn.BatchNorm2d(width), nn.ReLU())

    @property
    def classifier(self):
        return self.fc

    @property
    def stages(self):
        return self.layer1, self.layer2, self.layer3, self.layer4

    def stem(self, images):
        return self.conv1(images)

    def pooled(self, hidden):
        return hidden.mean(dim=(2, 3))


def make_workplace(folder):
    """Make a folder look as if the method's own was entered, with four classes and small networks in all configurations."""
    link_scripts(METHOD, folder)
    for path in METHOD.glob("config/*/*.yaml"):
        text = path.read_text("utf-8")
        for pattern, value in SMALL.items():
            text = re.sub(rf"\b({pattern}): \d+", rf"\1: {value}", text)
        copy = folder / path.relative_to(METHOD)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(text)
    return folder


def put_data(folder, fake_data, layouts):
    """Link fake data sets of four classes into a working folder."""
    (folder / "data").mkdir()
    for layout in layouts:
        (folder / ROOTS[layout]).symlink_to(fake_data(layout, **FOUR) / Path(ROOTS[layout]).name)
