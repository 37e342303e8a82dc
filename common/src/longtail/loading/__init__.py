"""From a data set to the batches that a network sees: epoch orders, augmentation, loaders."""

from longtail.loading.base import Batch, Loader, RandomAccessLoader
from longtail.loading.factory import create_loader
from longtail.loading.framing import CentreCrop, Framed
from longtail.loading.orders import (
    ClassAware,
    ClassWeighted,
    EffectiveNumber,
    FreshBatches,
    FromEpoch,
    Order,
    Sequential,
    Shuffled,
)
from longtail.loading.paired import Paired
from longtail.loading.presets import cifar_standard, cifar_strong

__all__ = [
    "Batch",
    "CentreCrop",
    "ClassAware",
    "ClassWeighted",
    "EffectiveNumber",
    "Framed",
    "FreshBatches",
    "FromEpoch",
    "Loader",
    "Order",
    "Paired",
    "RandomAccessLoader",
    "Sequential",
    "Shuffled",
    "cifar_standard",
    "cifar_strong",
    "create_loader",
]
