"""Numbers of the official implementations, made with PyTorch in float64.

Their layout is PyTorch's: images `(B, C, H, W)`, dense kernels `(out, in)`
and convolution kernels `(out, in, kh, kw)`.
"""

import pathlib

import numpy as np

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
