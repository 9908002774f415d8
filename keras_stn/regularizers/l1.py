import keras

from keras_stn.regularizers.tunable_regularizer import TunableRegularizer


@keras.saving.register_keras_serializable(package="keras_stn")
class L1(TunableRegularizer, keras.regularizers.L1):
    """A penalty on sizes, `l1 * sum(abs(x))`, that may be tuned.

    Choose it over `L2` where most weights or outputs should be zero. Groups
    of hyperparameters and hyper layers are treated as in `L2`, but on a hyper
    layer each group needs its kernel, and of more than 8 groups 8 are taken.

    Args:
        l1: Float, or a `Float` whose range is not negative.

    Raises:
        ValueError: If `l1` or its range is negative.

    Example:

    >>> import keras_stn as stn
    >>> l1 = stn.Float("l1", 1e-7, 1e-1, 1e-5, "log", per_example=False)
    >>> regularizer = stn.regularizers.L1(l1)
    >>> layer = stn.layers.HyperDense(3, kernel_regularizer=regularizer)

    Reference:
        [Tibshirani, 1996](https://doi.org/10.1111/j.2517-6161.1996.tb02080.x)
    """

    def __init__(self, l1=0.01):
        super().__init__({"l1": 0.01 if l1 is None else l1})

    def units(self):
        return {"l1": keras.regularizers.L1(1.0)}
