from typing import NamedTuple

import keras
from keras import ops
from keras.src.backend.common.symbolic_scope import in_symbolic_scope

from keras_stn import random
from keras_stn.hyperparameters.step import current_step
from keras_stn.layers.hyper_layer import HyperLayer
from keras_stn.layers.ordinary import only_in_training


class LabelMix(NamedTuple):
    """What a layer has mixed, for the step to mix the labels alike.

    The mixed example i has the share `weights[i]` of the example i, and the
    rest is of the example `partners[i]`.
    """

    partners: object
    weights: object


class MixingLayer(HyperLayer):
    """Base of the layers that mix each example with another of its batch.

    The labels have to be mixed like the examples. So the layer tells the
    weight step of the `SelfTuningModel` around it which examples it mixed and
    how, and the step mixes the losses.

    Args:
        data_format: `"channels_last"` or `"channels_first"`.
        seed: Integer, the random seed.
        **kwargs: Further arguments of `keras.layers.Layer`.

    Raises:
        ValueError: If it is called in training, but not by a weight step.
    """

    def __init__(self, data_format=None, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.data_format = keras.config.image_data_format()
        if data_format is not None:
            self.data_format = data_format
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs, training=False, hyperparameters=None):
        # While Keras builds a model nothing is mixed.
        if not training or in_symbolic_scope():
            return ops.cast(inputs, self.compute_dtype)
        step = current_step()
        if step is None or not step.is_training:
            raise ValueError(
                f"The layer '{self.name}' mixes examples, and nothing here "
                "would mix their labels. Train the network with "
                "`stn.SelfTuningModel(network).fit(...)`; for a plain Keras "
                f"model put `keras.layers.{type(self).__name__}` into the "
                "data pipeline. Received: training=True outside of the "
                "weight step of a `SelfTuningModel`"
            )
        images = ops.cast(inputs, "float32")
        size = ops.shape(images)[0]
        # A permutation, in a way that XLA compiles.
        partners = ops.argsort(
            random.uniform((size,), seed=self.seed_generator)
        )
        others = ops.take(images, partners, axis=0)
        mixed, weights = self.mix(images, others, hyperparameters)
        step.mixes.append(LabelMix(partners, weights))
        return ops.cast(mixed, self.compute_dtype)

    def mix(self, images, others, hyperparameters):
        """Mixes the examples.

        Args:
            images: Float32 tensor of shape `(batch_size, ...)`.
            others: The partner of each example, in a tensor of this shape.
            hyperparameters: A `Sample`, or `None`.

        Returns:
            Pair of the mixed examples and the share that each keeps of
            itself, of shape `(batch_size,)`.
        """
        raise NotImplementedError

    def strength_of(self, value, images, hyperparameters):
        """A strength for each example, of shape `(batch_size,)`."""
        value = self.resolve(value, images, hyperparameters, dtype="float32")
        value = ops.reshape(ops.convert_to_tensor(value, "float32"), (-1,))
        return ops.broadcast_to(value, (ops.shape(images)[0],))

    def compute_output_shape(self, input_shape):
        return input_shape

    def to_keras(self, values):
        return only_in_training(self)

    def get_config(self):
        return {
            **super().get_config(),
            "data_format": self.data_format,
            "seed": self.seed,
        }
