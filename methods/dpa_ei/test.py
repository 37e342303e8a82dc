"""Evaluate what `train.py` left: `python test.py --help`."""

from longtail_dpa_ei.large_evaluation import console

if __name__ == "__main__":
    console()
