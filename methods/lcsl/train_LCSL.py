"""Train with LCSL, then evaluate: `python train_LCSL.py --help`."""

from longtail_lcsl.training import console

if __name__ == "__main__":
    console()
