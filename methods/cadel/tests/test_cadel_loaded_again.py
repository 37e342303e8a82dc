"""A run of CADEL that is loaded again predicts as it did when it was judged."""

import json

import pytest

from longtail.cli.main import dispatch
from longtail.errors import UserError
from longtail.testing import check_loads_again


@pytest.mark.parametrize("options", [[], ["--eval-heads", "all"]])
def test_a_run_is_loaded_again(tmp_path, options):
    check_loads_again(dispatch, "cadel", tmp_path, *options)


def test_a_prior_correction_is_exported_as_it_was_judged(tmp_path):
    check_loads_again(dispatch, "cadel", tmp_path)
    run, file = str(tmp_path / "run"), tmp_path / "model.pt2"
    dispatch(["export", run, "--format", "torch", "--out", str(file), "--reading", "tau=1"])
    assert json.loads(file.with_name("model.pt2.json").read_text())["in_the_network"] == ["what cadel calls tau=1"]
    with pytest.raises(UserError, match=r"no reading 'tau=9', but all_heads, .*tau=1, .*; the run has chosen tau="):
        dispatch(["eval", run, "--reading", "tau=9"])
    with pytest.raises(UserError, match=r"for which prior the reading 'tau=1' predicts is not known"):
        dispatch(["eval", run, "--reading", "tau=1", "--target-prior", "uniform"])
