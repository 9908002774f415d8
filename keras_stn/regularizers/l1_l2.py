import keras

from keras_stn.regularizers.tunable_regularizer import TunableRegularizer


@keras.saving.register_keras_serializable(package="keras_stn")
class L1L2(TunableRegularizer, keras.regularizers.L1L2):
    """The sum of an `L1` and an `L2` penalty; each strength may be tuned.

    Groups of hyperparameters and hyper layers are treated as in `L1` and
    `L2`.

    Args:
        l1: Float, or a `Float` whose range is not negative.
        l2: Float, or a `Float` whose range is not negative.

    Raises:
        ValueError: If a strength or its range is negative.

    Example:

    >>> import keras_stn as stn
    >>> l2 = stn.Float("l2", 1e-7, 1e-1, 1e-4, "log", per_example=False)
    >>> regularizer = stn.regularizers.L1L2(l1=1e-6, l2=l2)
    >>> layer = stn.layers.HyperDense(3, kernel_regularizer=regularizer)

    Reference:
        [Zou and Hastie, 2005](https://doi.org/10.1111/j.1467-9868.2005.00503.x)
    """

    def __init__(self, l1=0.0, l2=0.0):
        super().__init__(
            {"l1": 0.0 if l1 is None else l1, "l2": 0.0 if l2 is None else l2}
        )

    def units(self):
        return {
            "l1": keras.regularizers.L1(1.0),
            "l2": keras.regularizers.L2(1.0),
        }
