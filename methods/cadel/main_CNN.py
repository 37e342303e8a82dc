"""Train a convolutional network with CADEL, on iNaturalist 2018 unless told otherwise: `python main_CNN.py --help`."""

from longtail_cadel.experiments import SCRIPTS
from longtail_cadel.training import console

if __name__ == "__main__":
    console(SCRIPTS["main_CNN"])
