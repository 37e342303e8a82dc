"""The samplers that a configuration can name: what draws the images of an epoch, and what it remembers of them.

They are those of Decoupling (Kang et al., Decoupling Representation and Classifier for Long-Tailed Recognition, ICLR 2020), on
whose training code the paper's is built. None of the paper's configurations uses one.
"""

from longtail_cadel.samplers.class_aware import ClassAwareSampler
from longtail_cadel.samplers.drawing import Draws
from longtail_cadel.samplers.options import ClassPriorityOptions, MixedPrioritizedOptions, PriorityOptions
from longtail_cadel.samplers.orders import SAMPLERS, SampledOrder, Sampler, create_order
from longtail_cadel.samplers.priorities import Priorities
from longtail_cadel.samplers.prioritised import ClassPrioritySampler, MixedPrioritizedSampler

__all__ = [
    "SAMPLERS",
    "ClassAwareSampler",
    "ClassPriorityOptions",
    "ClassPrioritySampler",
    "Draws",
    "MixedPrioritizedOptions",
    "MixedPrioritizedSampler",
    "Priorities",
    "PriorityOptions",
    "SampledOrder",
    "Sampler",
    "create_order",
]
