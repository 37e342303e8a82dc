"""The study on one screen: RSG between the last two stages, heads on the features, and a weighted sum of losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from longtail.backbones import StagedBackbone
from longtail.distributed import gather_rows
from longtail.loading.base import Batch
from longtail.losses import Loss, SupCon
from longtail.training.recipe import Clock, Recipe, StepOutput
from longtail_rsg_study.rsg import RSG


@dataclass(frozen=True)
class Shares:
    """How much each term weighs in the loss of a batch.

    Args:
        losses: of each loss of logits, by name.
        supcon: of the supervised contrastive loss.
        cesc, mv: of RSG's two losses.
    """

    losses: Mapping[str, float]
    supcon: float = 0.9
    cesc: float = 0.1
    mv: float = 0.01


class RSGStudy(Recipe):
    """Any combination of RSG, of heads, and of losses; whatever is not there costs nothing.

    Wang et al., RSG, CVPR 2021, with the study's sum of losses. Predictions come from the network's own classifier; RSG and
    margin heads belong to training alone.

    Args:
        backbone: its hidden state before the last stage is a map, where there is RSG.
        rsg: makes maps of rare classes, or None.
        margin_heads: by name, each maps features (B, D) and labels (B,) to logits (B, C).
        losses: of logits, by name; each sees the logits of the classifier and of every margin head. There may be none.
        supcon: of features, or None.
        shares: the weights of the terms.
        shown: what evaluation shows where there are no losses of logits.
    """

    backbone: StagedBackbone
    losses: nn.ModuleDict

    def __init__(
        self,
        backbone: StagedBackbone,
        rsg: RSG | None,
        margin_heads: Mapping[str, nn.Module],
        losses: Mapping[str, Loss],
        supcon: SupCon | None,
        shares: Shares,
        shown: Loss,
    ) -> None:
        super().__init__(backbone, shown)
        self.rsg = rsg
        self.margin_heads = nn.ModuleDict(margin_heads)
        self.losses = nn.ModuleDict(losses)
        self.supcon = supcon
        self.shares = shares
        self.part_names = tuple(shares.losses) + (("supcon",) if supcon else ()) + (("cesc", "mv", "generated") if rsg else ())
        # RSG's parts take turns, and contrast alone leaves the classifier out
        self.idle_parameters = rsg is not None or not losses

    def networks(self) -> Sequence[nn.Module]:
        """The stages: in training, RSG stands between the last two of them."""
        return self.backbone.stages

    def forward(self, batch: Batch, clock: Clock) -> StepOutput:
        """L = sum of w_l (l(z, y) + sum over margin heads of l(z_m, y)) + w_s SupCon(f, y) + w_c L_CESC + w_m L_MV.

        With RSG, features f, logits z and labels y are those of the batch and of what was generated from it. Training accuracy
        is measured on all of them, as in the study.
        """
        hidden, labels = self._below(batch.images), batch.labels
        terms: dict[str, Tensor] = {}
        rsg_loss = hidden.new_zeros(())
        if self.rsg is not None:
            hidden, labels, cesc, mv = self.rsg(hidden, labels, clock.epoch)
            rsg_loss = self.shares.cesc * cesc + self.shares.mv * mv
            made = cesc.new_full((), len(labels) - len(batch.labels))
            terms = {"cesc": cesc.detach(), "mv": mv.detach(), "generated": made}
        features = self.backbone.pooled(self.backbone.stages[-1](hidden))
        logits = self.backbone.classifier(features)
        loss, task_terms = self._task_loss(features, logits, labels)
        return StepOutput(loss + rsg_loss, logits, labels, {**task_terms, **terms})

    def _below(self, images: Tensor) -> Tensor:
        """What the last stage, and RSG before it, sees."""
        hidden = self.backbone.stem(images)
        for stage in self.backbone.stages[:-1]:
            hidden = stage(hidden)
        return hidden

    def _task_loss(self, features: Tensor, logits: Tensor, labels: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted sum over the global batch, and its terms without their weights."""
        everyone = gather_rows(labels)
        all_logits = [gather_rows(each) for each in (logits, *(head(features, labels) for head in self.margin_heads.values()))]
        terms = {name: torch.stack([loss(z, everyone) for z in all_logits]).sum() for name, loss in self.losses.items()}
        total = self._weighted(terms, logits.new_zeros((), dtype=torch.float32))
        if self.supcon is not None:
            terms["supcon"] = self.supcon(gather_rows(features), everyone)
            total = total + self.shares.supcon * terms["supcon"]
        return total, {name: term.detach() for name, term in terms.items()}

    def _weighted(self, terms: Mapping[str, Tensor], nothing: Tensor) -> Tensor:
        return sum((share * terms[name] for name, share in self.shares.losses.items()), start=nothing)

    def evaluation_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The weighted sum of the losses of logits; contrast between the images of an evaluation batch would say nothing."""
        if not self.losses:
            return super().evaluation_loss(logits, labels)
        terms = {name: loss(logits, labels) for name, loss in self.losses.items()}
        return self._weighted(terms, logits.new_zeros((), dtype=torch.float32))
