import sys
import types

import numpy as np
import pytest

from keras_stn.datasets import cifar10
from keras_stn.datasets import fashion_mnist


class FakeLibrary(types.ModuleType):
    """Stands in for TensorFlow Datasets, and records how it was called."""

    def __init__(self, shape):
        super().__init__("tensorflow_datasets")
        self.shape = shape
        self.calls = []

    def load(self, name, **arguments):
        self.calls.append((name, arguments))
        return [
            (
                np.arange(size, dtype="uint8").reshape(-1, 1, 1, 1)
                * np.ones(self.shape, "uint8"),
                np.arange(size, dtype="int64"),
            )
            for size in (50, 10)
        ]

    def as_numpy(self, data):
        return data


@pytest.mark.parametrize(
    "module, name, shape, white",
    [
        (cifar10, "cifar10", (32, 32, 3), 1),
        (fashion_mnist, "fashion_mnist", (28, 28, 1), 255),
    ],
)
def test_last_fifth_of_training_validates(
    module, name, shape, white, monkeypatch
):
    library = FakeLibrary(shape)
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", library)
    parts = module.load("folder")
    labels = (np.arange(40), np.arange(40, 50), np.arange(10))
    for (x, y), expected in zip(parts, labels):
        np.testing.assert_array_equal(y, expected)
        assert y.dtype == "int32"
        assert x.shape == (len(y), *shape)
        np.testing.assert_allclose(x[:, 0, 0, 0], expected / white, rtol=1e-6)
    ((called, arguments),) = library.calls
    assert called == name
    assert arguments["data_dir"] == "folder"
    assert arguments["split"] == ["train", "test"]


@pytest.mark.parametrize("module", [cifar10, fashion_mnist])
def test_missing_library_gets_a_sentence(module, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(ImportError, match=r"keras_stn\[examples\]"):
        module.load()
