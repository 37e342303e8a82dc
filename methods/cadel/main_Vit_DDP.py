"""Train a vision transformer with CADEL; the authors' name of main_ViT.py: `python main_Vit_DDP.py --help`."""

from longtail_cadel.experiments import SCRIPTS
from longtail_cadel.training import console

if __name__ == "__main__":
    console(SCRIPTS["main_Vit_DDP"])
