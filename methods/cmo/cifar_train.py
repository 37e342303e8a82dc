"""Train on CIFAR-100-LT with CMO: `python cifar_train.py --help`."""

from longtail_cmo.experiments import CIFAR
from longtail_cmo.training import console

if __name__ == "__main__":
    console(CIFAR)
