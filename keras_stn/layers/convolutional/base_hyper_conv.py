import math

from keras import ops

from keras_stn.layers.hyper_layer import to_examples
from keras_stn.layers.response_layer import ResponseLayer


class BaseHyperConv(ResponseLayer):
    """What the hyper convolutions share; mixed into one of Keras's."""

    def call(self, inputs, hyperparameters=None):
        hyperparameters = self.received(hyperparameters)
        if hyperparameters is None or not self.responds:
            return super().call(inputs)
        outputs = self.apply_response(inputs, hyperparameters)
        if self.activation is not None:
            outputs = self.activation(outputs)
        return outputs

    def linear(self, inputs, kernel):
        return self.convolution_op(inputs, kernel)

    def to_outputs(self, rows, inputs):
        rows = to_examples(rows, inputs)
        if self.data_format == "channels_last":
            shape = (-1, *(1,) * self.rank, self.filters)
        else:
            shape = (-1, self.filters, *(1,) * self.rank)
        return ops.reshape(rows, shape)

    def num_positions(self, inputs):
        output_shape = self.compute_output_shape(inputs.shape)
        if None in output_shape:
            return None
        return math.prod(output_shape) // self.filters
