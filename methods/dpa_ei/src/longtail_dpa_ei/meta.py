"""Learning the covariance: the step on a small balanced set that one look-ahead of the training step gives.

Li et al., MetaSAug: Meta Semantic Augmentation for Long-Tailed Visual Recognition, CVPR 2021 (arXiv 2103.12579), algorithm 1.

With theta the network's parameters and S the covariance, theta+ = theta - alpha grad L1(theta, S) is where a plain training
step would lead, L2(theta+) the loss of the balanced set there, and the gradient of L2 with respect to S says how S should
change. L1 is the training loss, which depends on S and theta through the logits z and the classifier's weight W alone.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.func import functional_call

from longtail.backbones import Backbone, linear_classifier
from longtail.distributed import gather_rows, mean_over_ranks, stand_ins

TrainingLoss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""L1 of the global batch from its logits (B, C), the classifier's weight (C, A) and the covariance."""
MetaLoss = Callable[[Tensor], Tensor]
"""L2 of the global meta batch from its logits."""
Named = dict[str, Tensor]


@dataclass(frozen=True)
class LookAhead:
    """One training step ahead, and what is judged there.

    Args:
        network: in training mode, with a linear classifier. Neither its parameters nor its buffers change.
        images: this rank's slice of the training batch.
        meta_images: this rank's slice of the meta batch.
        training_loss, meta_loss: L1 and L2.
        rate: alpha, the learning rate of the look-ahead.
    """

    network: Backbone
    images: Tensor
    meta_images: Tensor
    training_loss: TrainingLoss
    meta_loss: MetaLoss
    rate: float


class MetaGradient(NamedTuple):
    """dL2(theta+) / dS, shaped like S, with the losses L1 and L2 on the way; all without gradient."""

    gradient: Tensor
    training_loss: Tensor
    meta_loss: Tensor


MetaStep = Callable[[LookAhead, Tensor, Tensor], MetaGradient]
"""The meta gradient from the look-ahead, the global batch's logits with the graph that led to them, and the covariance."""


def by_forward_mode(ahead: LookAhead, logits: Tensor, covariance: Tensor) -> MetaGradient:
    """The meta gradient without a second derivative of the network.

    dL2/dS = -alpha d/dS <g, v> with g = grad L1(theta) and v = grad L2(theta+), and <g, v> = <dL1/dz, J v> + <dL1/dW, v_W>, J
    the Jacobian of the logits. J v is one forward-mode product; what remains to be differentiated twice is the loss of logits.
    The graph of `logits` is used for g and stays usable, so that the training pass serves twice.

    Under several ranks it is the gradient of the global batches, but for batch normalisation, which normalises each rank's
    slice by itself. Where `logits` came under autocast, so does g; all else is computed in the precision of the parameters.
    """
    with torch.autocast(logits.device.type, enabled=False):
        parameters, weight_name = _parameters(ahead.network)
        weight = parameters[weight_name]
        training_loss = ahead.training_loss(logits, weight, covariance)
        step = _gradients(training_loss, parameters, retain_graph=True)
        there = {name: (each.detach() - ahead.rate * step[name]).requires_grad_() for name, each in parameters.items()}
        meta_loss = ahead.meta_loss(gather_rows(_logits(ahead.network, there, ahead.meta_images)))
        direction = _gradients(meta_loss, there)
        at, along = (gather_rows(each) for each in _directional(ahead.network, parameters, direction, ahead.images))

        z, w, s = (each.detach().requires_grad_() for each in (at, weight, covariance))
        by_logits, by_weight = torch.autograd.grad(ahead.training_loss(z, w, s), (z, w), create_graph=True)
        slope = (by_logits * along).sum() + (by_weight * direction[weight_name]).sum()
        (gradient,) = torch.autograd.grad(slope, s)
    return MetaGradient(-ahead.rate * gradient, training_loss.detach(), meta_loss.detach())


def by_double_backward(ahead: LookAhead, _logits_of_training: Tensor, covariance: Tensor) -> MetaGradient:
    """The meta gradient by its definition: slower, on a single process, and what the other way is tested against."""
    with torch.autocast(covariance.device.type, enabled=False):
        parameters, weight_name = _parameters(ahead.network)
        s = covariance.detach().requires_grad_()
        logits = _logits(ahead.network, parameters, ahead.images)
        training_loss = ahead.training_loss(logits, parameters[weight_name], s)
        step = torch.autograd.grad(training_loss, list(parameters.values()), create_graph=True)
        there = {name: each - ahead.rate * g for (name, each), g in zip(parameters.items(), step, strict=True)}
        meta_loss = ahead.meta_loss(_logits(ahead.network, there, ahead.meta_images))
        (gradient,) = torch.autograd.grad(meta_loss, s)
    return MetaGradient(gradient, training_loss.detach(), meta_loss.detach())


def _parameters(network: Backbone) -> tuple[Named, str]:
    """The parameters that are trained, and the name of the classifier's weight among them."""
    weight = linear_classifier(network).weight
    parameters: Named = {name: each for name, each in network.named_parameters() if each.requires_grad}
    return parameters, next(name for name, each in parameters.items() if each is weight)


def _gradients(loss: Tensor, parameters: Named, *, retain_graph: bool = False) -> Named:
    """The gradients of the global batch's loss, the same on every rank."""
    found = torch.autograd.grad(loss, list(parameters.values()), retain_graph=retain_graph)
    # the mean and not the sum, because `gather_rows` has multiplied by the number of ranks
    return dict(zip(parameters, mean_over_ranks(found), strict=True))


class _Plain(nn.Module):
    """A network without what was hung on calling it: neither compiled code nor hooks know forward mode."""

    def __init__(self, network: Backbone) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Logits, shape (B, C); also of no images."""
        logits: Tensor = self.network.forward(stand_ins(images))
        return logits[: len(images)]


def _logits(network: Backbone, parameters: Mapping[str, Tensor], images: Tensor) -> Tensor:
    """Logits with other parameters, shape (B, C); batch-norm statistics move in copies that are thrown away."""
    replaced = {**parameters, **{name: each.clone() for name, each in network.named_buffers()}}
    logits: Tensor = functional_call(_Plain(network), {f"network.{name}": each for name, each in replaced.items()}, (images,))
    return logits


@torch.no_grad()
def _directional(network: Backbone, parameters: Named, direction: Named, images: Tensor) -> tuple[Tensor, Tensor]:
    """The logits, and their derivative as the parameters move in a direction: shape (B, C) both."""
    with warnings.catch_warnings(), forward_ad.dual_level():
        # torch's own, the first time that it differentiates forward
        warnings.filterwarnings("ignore", message=".*torch.jit", category=FutureWarning)
        moving = {
            name: forward_ad.make_dual(each.detach(), direction[name])  # type: ignore[no-untyped-call]
            for name, each in parameters.items()
        }
        logits, derivative = forward_ad.unpack_dual(_logits(network, moving, images))  # type: ignore[no-untyped-call]
    assert derivative is not None, "logits depend on the parameters"
    return logits, derivative
