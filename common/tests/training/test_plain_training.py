"""The class weights that plain training gives to a loss, by rule and epoch."""

import numpy as np
import pytest
import torch

from longtail.losses import create_loss
from longtail.names import TRAIN_RULES
from longtail.training.plain import ClassWeights

COUNTS = np.array([1000, 10])


@pytest.mark.parametrize("rule", TRAIN_RULES)
def test_the_rare_class_weighs_more_from_when_the_rule_says(rule):
    loss, rarer = create_loss("ce", class_counts=COUNTS), []
    for epoch in (1, 2):
        ClassWeights(rule, COUNTS, deferral=2).apply(loss, epoch)
        rarer.append(bool(loss.weight[1] > loss.weight[0]))
    assert rarer == {"none": [False, False], "reweight": [True, True], "drw": [False, True]}[rule]


def test_a_loss_without_class_weights_is_left_as_it_is():
    loss = create_loss("balanced_softmax", class_counts=COUNTS)
    before = {name: value.clone() for name, value in loss.named_buffers()}
    ClassWeights("reweight", COUNTS, deferral=0).apply(loss, 0)
    assert all(torch.equal(value, before[name]) for name, value in loss.named_buffers())


def test_an_unknown_rule_is_refused():
    with pytest.raises(ValueError, match="class weights are none, reweight, drw, got 'DRW'"):
        ClassWeights("DRW", COUNTS, deferral=0)
