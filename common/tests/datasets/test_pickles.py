import io
import pickle
import pickletools

import numpy as np
import pytest

from longtail.datasets.pickles import read_pickle, write_pickle

CONTENT = {
    "batch_label": "training batch 1 of 1",
    "fine_labels": [0, 255, 256, 70_000, -3],
    "filenames": ["a.png", "x" * 300],
    "num_vis": 3072,
    "data": np.arange(24, dtype=np.uint8).reshape(2, 12),
}


def test_written_pickles_are_read_back():
    content = read_pickle(io.BytesIO(write_pickle(CONTENT)))
    np.testing.assert_array_equal(content.pop("data"), CONTENT["data"])
    assert content == {key: value for key, value in CONTENT.items() if key != "data"}


def test_written_pickles_are_python_2_pickles_to_the_standard_library():
    data = write_pickle(CONTENT)
    assert "BINUNICODE" not in {operation.name for operation, _, _ in pickletools.genops(data)}
    latin1, raw = pickle.loads(data, encoding="latin1"), pickle.loads(data, encoding="bytes")
    assert latin1["filenames"] == CONTENT["filenames"]
    assert raw[b"fine_labels"] == CONTENT["fine_labels"]
    assert raw[b"batch_label"] == b"training batch 1 of 1"
    np.testing.assert_array_equal(latin1["data"], CONTENT["data"])
    assert latin1["data"].dtype == np.uint8


def test_other_calls_than_an_array_needs_are_refused(tmp_path):
    witness = tmp_path / "ran"

    class Touch:
        def __reduce__(self):
            return (exec, (f"open({str(witness)!r}, 'w')",))

    for protocol in range(5):
        with pytest.raises(pickle.UnpicklingError, match="asks for"):
            read_pickle(io.BytesIO(pickle.dumps({"data": Touch()}, protocol)))
    with pytest.raises(pickle.UnpicklingError, match=r"asks for posix\.system"):
        read_pickle(io.BytesIO(f"cposix\nsystem\n(S'touch {witness}'\ntR.".encode()))
    assert not witness.exists()


def test_arrays_of_other_types_are_refused():
    floats = pickle.dumps({"data": np.zeros(3)}, 2).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    with pytest.raises(pickle.UnpicklingError):
        read_pickle(io.BytesIO(floats))
    with pytest.raises(ValueError, match="only uint8"):
        write_pickle({"data": np.zeros((2, 2))})


def test_every_truncation_is_an_unpickling_error():
    data = write_pickle(CONTENT)
    for length in range(len(data)):
        with pytest.raises(pickle.UnpicklingError):
            read_pickle(io.BytesIO(data[:length]))


def test_a_pickle_of_something_else_is_an_unpickling_error():
    for content in ([1, 2], 7, None):
        with pytest.raises(pickle.UnpicklingError):
            read_pickle(io.BytesIO(pickle.dumps(content, 2)))
