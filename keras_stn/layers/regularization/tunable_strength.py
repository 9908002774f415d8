from keras_stn import backend
from keras_stn.hyperparameters import hyperparameter
from keras_stn.hyperparameters.hyperparameter import HyperParameter
from keras_stn.hyperparameters.hyperparameter import check_range
from keras_stn.layers.hyper_layer import HyperLayer


class TunableStrength(HyperLayer):
    """Mixin for Keras's noise layers: a strength that may be tuned.

    With a number the Keras layer does the work. With a `Float` the subclass's
    `regularize` does, in training only.

    Args:
        strength: Float between 0 and 1, or a `Float` whose range lies there.
            The Keras layer's first argument.
        **kwargs: Further arguments of the Keras layer.

    Raises:
        ValueError: If the range of `strength` is not between 0 and 1.
    """

    takes_values_per_unit = True

    # The name that the Keras layer gives to its strength.
    strength_name = "rate"

    def __init__(self, strength, **kwargs):
        strength = hyperparameter.get(strength)
        number = strength
        if isinstance(strength, HyperParameter):
            number = strength.default
            check_range(self.strength_name, strength, 0.0, 1.0)
        super().__init__(number, **kwargs)
        strength = self.declare(strength, self.strength_name, 1.0)
        setattr(self, self.strength_name, strength)

    def call(self, inputs, training=False, hyperparameters=None):
        strength = getattr(self, self.strength_name)
        is_number = not isinstance(strength, HyperParameter)
        # Of a batch that several replicas share, Keras would treat all parts
        # alike.
        if is_number and (strength == 0 or backend.replica()[1] == 1):
            return super().call(inputs, training=training)
        if not training:
            return inputs
        strength = self.resolve(
            strength, inputs, hyperparameters, dtype=self.strength_dtype
        )
        return self.regularize(inputs, strength)

    @property
    def strength_dtype(self):
        """The dtype in which `regularize` gets the strength."""
        return self.compute_dtype

    def regularize(self, inputs, strength):
        """Applies the noise.

        Args:
            inputs: Tensor of shape `(batch_size, ...)`.
            strength: Number, or tensor of shape `(batch_size, 1, ...)` or
                `(1, 1, ...)`.

        Returns:
            Tensor of the shape of `inputs`.
        """
        raise NotImplementedError

    def get_config(self):
        strength = getattr(self, self.strength_name)
        return {
            **super().get_config(),
            self.strength_name: hyperparameter.serialize(strength),
        }
