"""Loads and calls Keras models where `keras_stn` cannot be imported."""

import pathlib
import sys

import keras
import numpy as np


def main(folder):
    # An import of it fails from here on.
    sys.modules["keras_stn"] = None
    for path in sorted(pathlib.Path(folder).glob("*.keras")):
        model = keras.models.load_model(path)
        with np.load(path.with_suffix(".npz")) as arrays:
            inputs = [arrays[f"input_{i}"] for i in range(len(model.inputs))]
            expected = [
                arrays[f"output_{i}"] for i in range(len(model.outputs))
            ]
        if len(inputs) > 1:
            inputs = dict(zip(sorted(model.input), inputs, strict=True))
        else:
            (inputs,) = inputs
        outputs = keras.tree.flatten(model(inputs, training=False))
        for actual, wanted in zip(outputs, expected, strict=True):
            np.testing.assert_allclose(
                actual, wanted, rtol=1e-5, atol=1e-5, err_msg=path.name
            )
        assert not any(
            "keras_stn" in name for name in sys.modules if sys.modules[name]
        )


if __name__ == "__main__":
    main(sys.argv[1])
