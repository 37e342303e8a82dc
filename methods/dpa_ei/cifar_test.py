"""Evaluate a checkpoint on CIFAR: `python cifar_test.py --help`."""

from longtail_dpa_ei.evaluation import console

if __name__ == "__main__":
    console()
