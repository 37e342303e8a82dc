"""Train with any combination of RSG, cosine classifier and losses: `python imagenet_lt_train.py --help`."""

from longtail_rsg_study.training import console

if __name__ == "__main__":
    console()
