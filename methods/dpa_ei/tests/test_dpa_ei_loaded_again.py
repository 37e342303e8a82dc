"""A run of DPA-EI that is loaded again predicts as it did when it was judged."""

from longtail.cli.main import dispatch
from longtail.testing import check_loads_again


def test_a_run_is_loaded_again(tmp_path):
    check_loads_again(dispatch, "dpa_ei", tmp_path, "--num-meta", "2")
