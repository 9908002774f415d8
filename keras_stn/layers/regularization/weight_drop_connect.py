import keras

from keras_stn.layers.regularization.base_weight_dropout import (
    BaseWeightDropout,
)


@keras.saving.register_keras_serializable(package="keras_stn")
class WeightDropConnect(BaseWeightDropout):
    """Drops single weights for a batch; the rate may be tuned.

    In training some entries of a kernel are zero for the whole batch and at
    all time steps, and the others are divided by the share that is kept.
    Choose it for the recurrent kernel of a language model, where dropping
    activations anew at each step would keep the network from remembering. A
    recurrent layer of Keras has no place for it: call it in a layer or cell
    of your own, on the kernel and its response together.

    Give a tuned rate `per_example=False`: then a batch has one rate and one
    mask. Otherwise every group of examples has its own.

    Args:
        rate: Float between 0 and 1, or a `Float` whose range lies there.
            Fraction of the weights to drop.
        seed: Integer, the random seed.
        **kwargs: Further arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Kernel, or a list of kernels of one shape, which lose the same
            entries.
        training: Boolean, whether to drop.
        hyperparameters: A `Sample`, which the model around the layer
            supplies. Without it the rate is its starting value.

    Input shape:
        Any, the same for each kernel.

    Output shape:
        Same as input. For a `Float` with `per_example=True` there is a first
        axis of groups, of size 1 in inference.

    Raises:
        ValueError: If the rate or its range is not between 0 and 1, or the
            kernels have different shapes.

    Example:

    >>> import numpy as np
    >>> import keras_stn as stn
    >>> rate = stn.Float("dropout", 0.0, 0.9, default=0.5, per_example=False)
    >>> layer = stn.layers.WeightDropConnect(rate)
    >>> kernel, response = layer([np.ones((8, 32))] * 2, training=True)
    >>> kernel.shape
    TensorShape([8, 32])

    Reference:
        [Wan et al., 2013](https://proceedings.mlr.press/v28/wan13.html),
        [Merity et al., 2018](https://arxiv.org/abs/1708.02182)
    """

    def mask_shape(self, shape):
        return shape
