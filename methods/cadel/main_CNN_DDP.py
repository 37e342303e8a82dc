"""Train a convolutional network with CADEL; the authors' name of main_CNN.py: `python main_CNN_DDP.py --help`."""

from longtail_cadel.experiments import SCRIPTS
from longtail_cadel.training import console

if __name__ == "__main__":
    console(SCRIPTS["main_CNN_DDP"])
