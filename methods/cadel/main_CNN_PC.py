"""Correct the prior of a convolutional network that CADEL has trained: `python main_CNN_PC.py --help`."""

from longtail_cadel.experiments import SCRIPTS
from longtail_cadel.stage_two import console

if __name__ == "__main__":
    console(SCRIPTS["main_CNN_PC"])
