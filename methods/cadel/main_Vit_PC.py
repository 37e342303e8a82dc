"""Correct the prior of a vision transformer; the authors' name of main_ViT_PC.py: `python main_Vit_PC.py --help`."""

from longtail_cadel.experiments import SCRIPTS
from longtail_cadel.stage_two import console

if __name__ == "__main__":
    console(SCRIPTS["main_Vit_PC"])
