"""What the attention layers share that respond to hyperparameters."""

import keras

from keras_stn.hyperparameters import hyperparameter
from keras_stn.hyperparameters.hyperparameter import HyperParameter
from keras_stn.hyperparameters.hyperparameter import check_range
from keras_stn.layers.core.hyper_einsum_dense import HyperEinsumDense
from keras_stn.layers.hyper_layer import HyperLayer
from keras_stn.layers.regularization.dropout import Dropout


class BaseHyperAttention(HyperLayer):
    """Mixin for Keras's attention layers.

    Their projections become `HyperEinsumDense` layers, and the dropout of the
    attention probabilities may be tuned.

    Args:
        sizes: Tuple, the arguments of the Keras layer before `dropout`.
        dropout: Float between 0 and 1, or a `Float` whose range lies there.
        *args: Arguments of the Keras layer behind `dropout`.
        **kwargs: Further arguments of the Keras layer.

    Raises:
        ValueError: If the range of `dropout` is not between 0 and 1.
    """

    def __init__(self, sizes, dropout, *args, **kwargs):
        dropout = hyperparameter.get(dropout)
        number = dropout
        if isinstance(dropout, HyperParameter):
            check_range("dropout", dropout, 0.0, 1.0)
            # Positive, since no `Float` starts at its range's end, which
            # makes Keras compute the probabilities and call its dropout layer.
            number = dropout.default
        super().__init__(*sizes, number, *args, **kwargs)
        # Beside Keras's own attribute, which it compares with 0.
        self.declared_dropout = self.declare(dropout, "dropout", 1.0)

    def __setattr__(self, name, value):
        # Keras makes its sublayers in the middle of `build`. What is to
        # respond or to be tuned gives way here, before it is tracked or built.
        if type(value) is keras.layers.EinsumDense:
            value = to_hyper(value)
        elif type(value) is keras.layers.Dropout:
            value = self._make_dropout(value)
        super().__setattr__(name, value)

    def _make_dropout(self, layer):
        if not isinstance(self.declared_dropout, HyperParameter):
            return layer
        return Dropout(
            self.declared_dropout,
            seed=layer.seed,
            name=layer.name,
            dtype=layer.dtype_policy,
        )

    def get_config(self):
        return {
            **super().get_config(),
            "dropout": hyperparameter.serialize(self.declared_dropout),
        }


def to_hyper(layer):
    """The hyper layer with the arguments of an unbuilt `EinsumDense`."""
    return HyperEinsumDense(
        layer.equation,
        layer.partial_output_shape,
        activation=layer.activation,
        bias_axes=layer.bias_axes,
        kernel_initializer=layer.kernel_initializer,
        bias_initializer=layer.bias_initializer,
        kernel_regularizer=layer.kernel_regularizer,
        bias_regularizer=layer.bias_regularizer,
        activity_regularizer=layer.activity_regularizer,
        kernel_constraint=layer.kernel_constraint,
        bias_constraint=layer.bias_constraint,
        name=layer.name,
        dtype=layer.dtype_policy,
    )
