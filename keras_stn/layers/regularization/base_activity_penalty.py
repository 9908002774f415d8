import math

import keras
from keras import ops

from keras_stn.hyperparameters import hyperparameter
from keras_stn.layers.hyper_layer import HyperLayer
from keras_stn.layers.ordinary import only_in_training


class BaseActivityPenalty(HyperLayer):
    """What the layers share that add a penalty on their input to the loss.

    A subclass says what is squared; the penalty is the mean of the squares,
    each times the strength of the example it belongs to.

    Args:
        strength: Float, or a `Float` whose range is not negative.
        **kwargs: Further arguments of `keras.layers.Layer`.

    Raises:
        ValueError: If the strength or its range is negative.
    """

    # The name of the subclass's argument.
    strength_name = None

    def __init__(self, strength, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True
        name = self.strength_name
        setattr(self, name, self.declare_strength(name, strength, math.inf))

    def call(self, inputs, mask=None, training=False, hyperparameters=None):
        if training:
            # Half precision would lose the small terms of a long sum.
            dtype = keras.backend.result_type(inputs.dtype, "float32")
            strength = self.resolve(
                getattr(self, self.strength_name),
                inputs,
                hyperparameters,
                dtype=dtype,
            )
            squares, mask = self.squares(ops.cast(inputs, dtype), mask)
            self.add_loss(masked_mean(strength * squares, mask))
        return inputs

    def squares(self, inputs, mask):
        """What the penalty is the mean of.

        Args:
            inputs: Tensor of shape `(batch_size, ...)`.
            mask: Boolean tensor of the shape of the first axes of `inputs`,
                or `None`.

        Returns:
            A pair of a tensor, and the mask that belongs to it or `None`.
        """
        raise NotImplementedError

    def compute_output_shape(self, input_shape):
        return input_shape

    def to_keras(self, values):
        return only_in_training(self)

    def get_config(self):
        strength = getattr(self, self.strength_name)
        return {
            **super().get_config(),
            self.strength_name: hyperparameter.serialize(strength),
        }


def masked_mean(values, mask):
    """The mean of what is not masked, 0 if nothing is left.

    Args:
        values: Tensor.
        mask: Boolean tensor of the shape of the first axes of `values`, or
            `None`.

    Returns:
        Scalar tensor.
    """
    count = ops.cast(ops.size(values), values.dtype)
    if mask is not None:
        rank = len(values.shape) - len(mask.shape)
        mask = ops.reshape(mask, (*ops.shape(mask), *(1,) * rank))
        mask = ops.cast(mask, values.dtype)
        count = ops.sum(mask * ops.ones_like(values))
        values = mask * values
    return ops.sum(values) / ops.maximum(count, 1)
