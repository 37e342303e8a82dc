"""Another name of `inat_train.py`: the one that the paper's code has, where its README says `inat_train.py`."""

from longtail_cmo.experiments import INAT
from longtail_cmo.training import console

if __name__ == "__main__":
    console(INAT)
