import keras
from keras import ops

from keras_stn.regularizers.tunable_regularizer import TunableRegularizer


@keras.saving.register_keras_serializable(package="keras_stn")
class OrthogonalRegularizer(
    TunableRegularizer, keras.regularizers.OrthogonalRegularizer
):
    """A penalty on vectors that are not orthogonal; it may be tuned.

    Choose it to keep the features of a `HyperDense` or `Dense` layer apart.
    Groups of hyperparameters and hyper layers are treated as in `L1`.

    Args:
        factor: Float, or a `Float` whose range is not negative.
        mode: `"rows"` or `"columns"`, the vectors of the kernel.

    Input shape:
        `(rows, columns)`.

    Raises:
        ValueError: If `factor` or its range is negative, `mode` is neither
            of the two, or the penalized tensor is no matrix.

    Example:

    >>> import keras_stn as stn
    >>> factor = stn.Float("factor", 1e-5, 10.0, 1e-2, "log", per_example=False)
    >>> regularizer = stn.regularizers.OrthogonalRegularizer(factor, "columns")
    >>> layer = stn.layers.HyperDense(3, kernel_regularizer=regularizer)
    """

    def __init__(self, factor=0.01, mode="rows"):
        super().__init__({"factor": factor}, mode=mode)

    def units(self):
        unit = keras.regularizers.OrthogonalRegularizer(1.0, self.mode)
        # Keras's takes no other dtype.
        return {"factor": lambda x: unit(ops.cast(x, "float32"))}
