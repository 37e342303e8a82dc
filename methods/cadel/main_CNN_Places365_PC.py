"""Correct the prior of CADEL's ResNet-152 on Places-LT: `python main_CNN_Places365_PC.py --help`."""

from longtail_cadel.experiments import SCRIPTS
from longtail_cadel.stage_two import console

if __name__ == "__main__":
    console(SCRIPTS["main_CNN_Places365_PC"])
