"""Correct the prior of a vision transformer that CADEL has trained: `python main_ViT_PC.py --help`."""

from longtail_cadel.experiments import SCRIPTS
from longtail_cadel.stage_two import console

if __name__ == "__main__":
    console(SCRIPTS["main_ViT_PC"])
