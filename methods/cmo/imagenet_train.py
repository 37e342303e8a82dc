"""Train on ImageNet-LT with CMO: `python imagenet_train.py --help`."""

from longtail_cmo.experiments import IMAGENET
from longtail_cmo.training import console

if __name__ == "__main__":
    console(IMAGENET)
