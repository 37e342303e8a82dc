"""CMO on one screen: paste a box of a rare-class image into every image of the batch, and mix the loss by area."""

from __future__ import annotations

from longtail.backbones import Backbone
from longtail.distributed import gather_rows
from longtail.loading.base import Batch
from longtail.losses import Loss, mixed_loss
from longtail.training.plain import ClassWeights, PlainTraining
from longtail.training.recipe import Clock, StepOutput
from longtail_cmo.mixing import MixPlan


class CMO(PlainTraining):
    """Context-rich minority oversampling (paper, algorithm 1).

    The background (x, y) comes from the long-tailed data as it is, the foreground (x', y') from a sampler that favours rare
    classes: the batch's partner.

    Args:
        backbone: maps images (B, 3, H, W) to logits (B, C).
        loss: any loss; it sees y and y' one after the other.
        class_weights: a training rule such as DRW.
        plan: which batches are mixed, and where; None mixes none.
    """

    def __init__(self, backbone: Backbone, loss: Loss, class_weights: ClassWeights, plan: MixPlan | None) -> None:
        super().__init__(backbone, loss, class_weights)
        self.plan = plan

    def forward(self, batch: Batch, clock: Clock) -> StepOutput:
        """lambda L(f(x~), y) + (1 - lambda) L(f(x~), y'), where x~ is x with the box of x'; training accuracy is against y."""
        box = None if self.plan is None else self.plan.box(clock.epoch, clock.step)
        if box is None:
            return super().forward(batch, clock)
        foreground = batch.partner
        assert foreground is not None, "the loader skipped a foreground batch that the plan asks for"
        rows, columns = slice(box.top, box.bottom), slice(box.left, box.right)
        batch.images[:, :, rows, columns] = foreground.images[:, :, rows, columns]
        logits = self.backbone(batch.images)
        labels, other_labels = gather_rows(batch.labels), gather_rows(foreground.labels)
        loss = mixed_loss(self.loss, gather_rows(logits), labels, other_labels, box.kept)
        return StepOutput(loss, logits, batch.labels, {})
