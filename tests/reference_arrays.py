"""Numbers of the official implementations, made with PyTorch in float64.

Their layout is PyTorch's: images `(B, C, H, W)`, dense kernels `(out, in)`
and convolution kernels `(out, in, kh, kw)`.
"""

import pathlib

import numpy as np

TOLERANCE = 1e-5

FOLDER = pathlib.Path(__file__).parent / "reference"


def load_reference(name):
    """Reads all arrays of `tests/reference/NAME.npz`.

    Args:
        name: String, the file's name without its ending.

    Returns:
        Dictionary from the arrays' names to NumPy arrays.
    """
    with np.load(FOLDER / f"{name}.npz") as file:
        return dict(file)


def assert_close(actual, official, tolerance=TOLERANCE):
    """Compares arrays, relative to the largest entry if that is not tiny."""
    actual, official = np.asarray(actual), np.asarray(official)
    assert actual.shape == official.shape
    size = max(np.abs(official).max(), 0.01)
    np.testing.assert_allclose(actual, official, rtol=0, atol=tolerance * size)
