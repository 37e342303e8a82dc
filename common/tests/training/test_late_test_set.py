"""A test set that is not looked at before training is over."""

from dataclasses import replace

import pytest
from toys import ToyRun

from longtail.training.reports import Listener


class LateToyRun(ToyRun):
    def judges(self):
        return replace(super().judges(), test_at_end=True)


class Shown(Listener):
    """Remembers which set each epoch was evaluated on."""

    def __init__(self):
        self.sets = []

    def evaluated(self, report):
        self.sets.append((report.shown[0], report.result))


@pytest.mark.parametrize("select", ["val", "last"])
def test_results_are_those_of_a_run_that_always_looked(tmp_path, select):
    class WithVal(LateToyRun):
        def judges(self):
            judges = ToyRun(self.folder, select="val").judges()
            return replace(judges, test_at_end=True)

    early = ToyRun(tmp_path / "early", select=select).train()[0]
    late = WithVal(tmp_path / "late", select=select).train()[0]
    assert late["best"] == early["best"]
    assert late["last"] == early["last"]


def test_epochs_show_the_validation_set(tmp_path):
    shown = Shown()
    LateToyRun(tmp_path, select="val").train(listeners=[shown])
    assert shown.sets == [("val", None)] * 4


def test_a_resumed_run_ends_with_the_same_results(tmp_path):
    whole = LateToyRun(tmp_path / "whole", select="val").train()[0]
    parts = LateToyRun(tmp_path / "parts", select="val")
    parts.train(max_epochs=2)
    assert parts.train(resume_auto=True)[0] == whole


def test_a_run_without_validation_set_cannot_wait(tmp_path):
    with pytest.raises(ValueError, match="without a validation set"):
        LateToyRun(tmp_path).judges()
