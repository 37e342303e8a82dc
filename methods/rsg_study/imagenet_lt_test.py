"""Evaluate a run of `imagenet_lt_train.py`: `python imagenet_lt_test.py --help`."""

from longtail_rsg_study.evaluation import console

if __name__ == "__main__":
    console()
