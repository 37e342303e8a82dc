"""A run of CADEL that is loaded again predicts as it did when it was judged."""

import pytest

from longtail.cli.main import dispatch
from longtail.testing import check_loads_again


@pytest.mark.parametrize("options", [[], ["--eval-heads", "all"]])
def test_a_run_is_loaded_again(tmp_path, options):
    check_loads_again(dispatch, "cadel", tmp_path, *options)
