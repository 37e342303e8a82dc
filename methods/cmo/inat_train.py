"""Train on iNaturalist 2018 with CMO: `python inat_train.py --help`."""

from longtail_cmo.experiments import INAT
from longtail_cmo.training import console

if __name__ == "__main__":
    console(INAT)
