import keras

from keras_stn.regularizers.tunable_regularizer import TunableRegularizer


@keras.saving.register_keras_serializable(package="keras_stn")
class L2(TunableRegularizer, keras.regularizers.L2):
    """A penalty on squares, `l2 * sum(square(x))`, that may be tuned.

    Use it wherever Keras takes a regularizer, in hyper layers and in Keras's
    own. With a number as `l2` it is `keras.regularizers.L2`. A `Float` best
    has `sampling="log"`, and `per_example=False`, since a batch has one
    penalty: of a draw per group the penalty uses the mean.

    On the kernel or bias of a hyper layer a tuned strength penalizes what
    each group computes with, W(λ), at the strength of that group, so that the
    layer learns how its best weights answer to the strength. Tuning steps are
    free of penalties, and evaluation of those with a tuned strength.

    Args:
        l2: Float, or a `Float` whose range is not negative.

    Raises:
        ValueError: If `l2` or its range is negative.

    Example:

    >>> import keras_stn as stn
    >>> l2 = stn.Float("l2", 1e-7, 1e-1, 1e-4, "log", per_example=False)
    >>> regularizer = stn.regularizers.L2(l2)
    >>> layer = stn.layers.HyperDense(3, kernel_regularizer=regularizer)

    Reference:
        [Krogh and Hertz, 1991](https://proceedings.neurips.cc/paper/1991/hash/8eefcfdf5990e441f0fb6f3fad709e21-Abstract.html)
    """

    def __init__(self, l2=0.01):
        super().__init__({"l2": 0.01 if l2 is None else l2})

    def units(self):
        return {"l2": keras.regularizers.L2(1.0)}
