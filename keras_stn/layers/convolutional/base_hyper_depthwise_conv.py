from keras import ops

from keras_stn.layers.convolutional.base_hyper_conv import BaseHyperConv
from keras_stn.layers.response_initializers import independent


class BaseHyperDepthwiseConv(BaseHyperConv):
    """What the hyper depthwise convolutions share."""

    def response_initializer(self, name):
        if name == "kernel":
            return independent(self.depthwise_initializer)
        return super().response_initializer(name)

    def gate_axes(self, name):
        # The output channels of a kernel stand in two axes: input channels and
        # multiples of each.
        if name == "kernel":
            return (self.rank, self.rank + 1)
        return super().gate_axes(name)

    def linear(self, inputs, kernel):
        return ops.depthwise_conv(inputs, kernel, **self.window)

    @property
    def positions_per_kernel(self):
        # So small a kernel is built at once, and its second application takes
        # as long as the first. Measured on a CPU with 8 to 1024 channels.
        return super().positions_per_kernel / 4
