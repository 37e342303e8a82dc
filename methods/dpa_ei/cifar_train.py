"""Train on CIFAR-10-LT or CIFAR-100-LT with DPA-EI: `python cifar_train.py --help`."""

from longtail_dpa_ei.cifar import console

if __name__ == "__main__":
    console()
