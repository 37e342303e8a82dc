"""Train a grid of combinations, a few seeds each, and compare them in a table: `python study.py --help`."""

from longtail_rsg_study.study import console

if __name__ == "__main__":
    console()
