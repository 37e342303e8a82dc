"""Train CADEL's ResNet-152 on Places-LT: `python main_CNN_Places365.py --help`."""

from longtail_cadel.experiments import SCRIPTS
from longtail_cadel.training import console

if __name__ == "__main__":
    console(SCRIPTS["main_CNN_Places365"])
