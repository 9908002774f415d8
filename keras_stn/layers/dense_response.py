import math

from keras import ops

from keras_stn.layers.hyper_layer import to_examples
from keras_stn.layers.response_layer import ResponseLayer


class DenseResponse(ResponseLayer):
    """Base of the hyper layers whose kernel maps the last axis of the input.

    Dense layers do, and recurrent cells, of a step or of a whole sequence.
    """

    def linear(self, inputs, kernel):
        return ops.matmul(inputs, kernel)

    def to_outputs(self, rows, inputs):
        rows = to_examples(rows, inputs)
        middle = (1,) * (len(inputs.shape) - 2)
        return ops.reshape(rows, (-1, *middle, rows.shape[-1]))

    def num_positions(self, inputs):
        positions = inputs.shape[:-1]
        return None if None in positions else math.prod(positions)
