import math

from keras import ops

from keras_stn.layers.hyper_layer import to_examples
from keras_stn.layers.response_layer import ResponseLayer


class BaseHyperConv(ResponseLayer):
    """What the hyper convolutions share; mixed into one of Keras's."""

    def call(self, inputs, hyperparameters=None):
        hyperparameters = self.received(hyperparameters)
        if not self.responds_to(hyperparameters):
            return super().call(inputs)
        return self.apply_response(inputs, hyperparameters)

    def linear(self, inputs, kernel):
        return self.convolution_op(inputs, kernel)

    @property
    def window(self):
        """How a kernel moves over its input, as arguments of `keras.ops`."""
        return {
            "strides": self.strides,
            "padding": self.padding,
            "dilation_rate": self.dilation_rate,
            "data_format": self.data_format,
        }

    def to_outputs(self, rows, inputs):
        channels = math.prod(rows.shape[1:])
        rows = to_examples(rows, inputs)
        if self.data_format == "channels_last":
            shape = (-1, *(1,) * self.rank, channels)
        else:
            shape = (-1, channels, *(1,) * self.rank)
        return ops.reshape(rows, shape)

    def num_positions(self, inputs):
        return self.count_positions(self.compute_output_shape(inputs.shape))

    def count_positions(self, shape):
        """The number of pixels, or steps, of a batch of images of a shape."""
        if None in shape:
            return None
        is_last = self.data_format == "channels_last"
        return math.prod(shape) // shape[-1 if is_last else 1]
