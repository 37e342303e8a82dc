import numpy as np
import pytest
from PIL import Image

from longtail.metrics import ShotThresholds
from longtail.report.plots import class_sizes_plot


@pytest.mark.parametrize("counts", [[100, 40, 9, 1], [3, 3], [0, 5], [], list(range(1, 1001))])
def test_any_sizes_can_be_drawn(counts, tmp_path):
    path = tmp_path / "sizes.png"
    class_sizes_plot(path, counts, ShotThresholds(), title="$100 each", note="note")
    with Image.open(path) as plot:
        assert plot.size == (1200, 750)
        assert len(np.unique(np.asarray(plot))) > 10
