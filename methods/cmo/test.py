"""Evaluate a checkpoint: `python test.py --help`."""

from longtail_cmo.evaluation import console

if __name__ == "__main__":
    console()
