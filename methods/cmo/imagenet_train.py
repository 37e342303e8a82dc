"""Train on ImageNet-LT with CMO: `python imagenet_train.py --help`."""

from longtail_cmo.imagenet import console

if __name__ == "__main__":
    console()
