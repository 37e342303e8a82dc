"""Train a classifier on ImageNet-LT or iNaturalist 2018 with DPA-EI: `python train.py --help`."""

from longtail_dpa_ei.large import console

if __name__ == "__main__":
    console()
