"""Losses for long-tailed classification, one a file, and the class weights that some of them take.

The losses that `create_loss` knows take logits, and train a network alone. `SupCon` and the margin heads `ArcFace`, `AMSoftmax`
and `SphereFace` take features: they stand beside a loss of logits, or in front of one.
"""

from longtail.losses.angular_margin import AMSoftmax, ArcFace, MarginHead, SphereFace
from longtail.losses.balanced_softmax import BalancedSoftmax
from longtail.losses.base import Loss, WeightedLoss
from longtail.losses.class_balanced import ClassBalanced
from longtail.losses.cross_entropy import CrossEntropy
from longtail.losses.factory import LOSSES, create_loss
from longtail.losses.focal import Focal
from longtail.losses.ldam import LDAM
from longtail.losses.logit_adjustment import LogitAdjustment
from longtail.losses.mixing import mixed_loss
from longtail.losses.supcon import SupCon
from longtail.losses.weighting import DeferredReweighting, effective_number_weights, inverse_frequency_weights

__all__ = [
    "LDAM",
    "LOSSES",
    "AMSoftmax",
    "ArcFace",
    "BalancedSoftmax",
    "ClassBalanced",
    "CrossEntropy",
    "DeferredReweighting",
    "Focal",
    "LogitAdjustment",
    "Loss",
    "MarginHead",
    "SphereFace",
    "SupCon",
    "WeightedLoss",
    "create_loss",
    "effective_number_weights",
    "inverse_frequency_weights",
    "mixed_loss",
]
