"""Train on iNaturalist 2018 with CMO: `python inat_train.py --help`."""

from longtail_cmo.inat import console

if __name__ == "__main__":
    console()
