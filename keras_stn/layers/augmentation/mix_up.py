import math

import keras
from keras import ops

from keras_stn.hyperparameters import hyperparameter
from keras_stn.layers.augmentation.beta import symmetric_beta
from keras_stn.layers.augmentation.mixing_layer import MixingLayer


@keras.saving.register_keras_serializable(package="keras_stn")
class MixUp(MixingLayer):
    """Blends each example with another of its batch; the strength is tunable.

    In training, an example keeps a share w of itself, drawn from
    Beta(`alpha`, `alpha`), and gets the rest from its partner. The training
    loss becomes `w` times the loss with its own label plus `1 - w` times that
    with its partner's, so labels may be of any kind. Each example has the
    strength of its own perturbation, and a gradient flows to the strength.
    Training metrics compare with the example's own label.

    It may stand at the input, where it mixes images, or inside of the
    network, where it mixes features. Several mixing layers one after the
    other mix what is mixed already; on branches side by side they would mix
    labels that belong to the other branch. A loss is taken to have a number
    for each prediction, of the shape of `y_pred` without its last axis.

    Args:
        alpha: Float, or a `Float` whose range is not negative. 0 hardly ever
            blends; the larger, the more evenly are examples blended.
        data_format: `"channels_last"` or `"channels_first"`; it changes
            nothing.
        seed: Integer, the random seed.
        **kwargs: Further arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of any rank.
        training: Boolean, whether to mix.
        hyperparameters: A `Sample`, which the model around the layer
            supplies.

    Input shape:
        `(batch_size, ...)`.

    Output shape:
        Same as input.

    Raises:
        ValueError: If `alpha` or its range is negative; in training outside
            of a `SelfTuningModel`, where nothing would mix the labels.

    Example:

    >>> import keras_stn as stn
    >>> alpha = stn.Float("mix_up", 0.01, 2.0, default=0.1, sampling="log")
    >>> layer = stn.layers.MixUp(alpha)

    Reference:
        [Zhang et al., 2018](https://arxiv.org/abs/1710.09412); for features
        Verma et al., 2019, arXiv 1806.05236.
    """

    def __init__(self, alpha=0.2, data_format=None, seed=None, **kwargs):
        super().__init__(data_format=data_format, seed=seed, **kwargs)
        self.alpha = self.declare_strength("alpha", alpha, math.inf)

    def mix(self, images, others, hyperparameters):
        alpha = self.strength_of(self.alpha, images, hyperparameters)
        weights = symmetric_beta(alpha, self.seed_generator)
        share = ops.reshape(weights, (-1,) + (1,) * (len(images.shape) - 1))
        return share * images + (1 - share) * others, weights

    def get_config(self):
        return {
            **super().get_config(),
            "alpha": hyperparameter.serialize(self.alpha),
        }
