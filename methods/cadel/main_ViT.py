"""Train a vision transformer with CADEL, on Places-LT unless told otherwise: `python main_ViT.py --help`."""

from longtail_cadel.experiments import SCRIPTS
from longtail_cadel.training import console

if __name__ == "__main__":
    console(SCRIPTS["main_ViT"])
