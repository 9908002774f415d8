import functools

import keras
from keras import ops

from keras_stn import random
from keras_stn.hyperparameters import hyperparameter
from keras_stn.hyperparameters.hyperparameter import HyperParameter
from keras_stn.layers.hyper_layer import HyperLayer
from keras_stn.layers.ordinary import only_in_training
from keras_stn.layers.regularization.dropout import draw_factors


class BaseWeightDropout(HyperLayer):
    """What the dropouts of weights share: a mask that examples share.

    Activations have an axis of examples, and each example its mask. Weights
    have none: there is one mask for the whole batch, or one a group where the
    rate differs between groups.

    Args:
        rate: Float between 0 and 1, or a `Float` whose range lies there.
        seed: Integer, the random seed.
        **kwargs: Further arguments of `keras.layers.Layer`.

    Raises:
        ValueError: If the rate or its range is not between 0 and 1.
    """

    def __init__(self, rate, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.rate = self.declare_strength("rate", rate, 1)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    @property
    def has_group_axis(self):
        """Whether the outputs have a first axis of groups."""
        return isinstance(self.rate, HyperParameter) and self.rate.per_example

    def call(self, inputs, training=False, hyperparameters=None):
        shapes = [tuple(w.shape) for w in keras.tree.flatten(inputs)]
        mask_shapes = {self.mask_shape(shape) for shape in shapes}
        if len(mask_shapes) != 1:
            raise ValueError(
                f"The layer '{self.name}' drops the same entries of all "
                "weights, so they must have equal shapes. "
                f"Received: shapes={shapes}"
            )
        if training and self.rate != 0:
            factors = self.factors(mask_shapes.pop(), hyperparameters)
            if not self.has_group_axis:
                factors = ops.squeeze(factors, 0)
            return keras.tree.map_structure(lambda w: w * factors, inputs)
        if self.has_group_axis:
            return keras.tree.map_structure(
                lambda w: ops.expand_dims(w, 0), inputs
            )
        return inputs

    def mask_shape(self, shape):
        """The shape of the mask of a weight.

        Args:
            shape: Tuple of integers, the weight's shape.

        Returns:
            Tuple of integers that broadcasts against `shape`.
        """
        raise NotImplementedError

    def factors(self, shape, hyperparameters=None):
        """Draws what a training step multiplies weights by.

        For layers that apply it themselves, at a place where it costs less.

        Args:
            shape: Tuple of integers, the shape of the mask.
            hyperparameters: A `Sample`, or `None`.

        Returns:
            Tensor of shape `(1, *shape)`, or `(G, *shape)` with a rate that
            differs between groups: 0 where a weight is dropped and
            `1 / (1 - rate)` elsewhere.
        """
        # The rate stays exact until it meets the noise.
        dtype = keras.backend.result_type(self.compute_dtype, "float32")
        rates = ops.convert_to_tensor(
            self.resolve_groups(self.rate, hyperparameters, dtype=dtype), dtype
        )
        groups, draw = -1, functools.partial(random.uniform, by_group=True)
        if not self.has_group_axis:
            rates, groups, draw = ops.ravel(rates)[:1], 1, keras.random.uniform
        rates = ops.reshape(rates, (groups,) + (1,) * len(shape))
        return draw_factors(
            (ops.shape(rates)[0], *shape),
            rates,
            self.compute_dtype,
            self.seed_generator,
            draw,
        )

    def to_keras(self, values):
        return only_in_training(self)

    def get_config(self):
        return {
            **super().get_config(),
            "rate": hyperparameter.serialize(self.rate),
            "seed": self.seed,
        }
