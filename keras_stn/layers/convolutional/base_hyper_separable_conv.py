from keras import ops

from keras_stn.layers.convolutional.base_hyper_conv import BaseHyperConv
from keras_stn.layers.response_initializers import independent

KERNELS = ("depthwise_kernel", "pointwise_kernel")


class BaseHyperSeparableConv(BaseHyperConv):
    """What the hyper separable convolutions share.

    Both kernels respond: the depthwise one with a gate for each channel
    between the two convolutions, the pointwise one with a gate a filter.
    """

    responding = (*KERNELS, "bias")
    kernels = KERNELS

    def response_initializer(self, name):
        if name in KERNELS:
            stage = name.removesuffix("_kernel")
            return independent(getattr(self, f"{stage}_initializer"))
        return super().response_initializer(name)

    def gate_axes(self, name):
        if name == "depthwise_kernel":
            return (self.rank, self.rank + 1)
        return super().gate_axes(name)

    def apply_all_kernels(self, inputs, hyperparameters):
        outputs = inputs
        for name, stage in zip(KERNELS, (self.depthwise, self.pointwise)):
            gates = self.gates(name, hyperparameters)
            response = stage(outputs, getattr(self, f"response_{name}"))
            outputs = stage(outputs, getattr(self, name))
            outputs = outputs + self.to_outputs(gates, inputs) * response
        return outputs

    def linear(self, inputs, depthwise_kernel, pointwise_kernel):
        return ops.separable_conv(
            inputs, depthwise_kernel, pointwise_kernel, **self.window
        )

    def depthwise(self, inputs, kernel):
        """The first of the two convolutions."""
        return ops.depthwise_conv(inputs, kernel, **self.window)

    def pointwise(self, inputs, kernel):
        """The second one, of single pixels."""
        # A product, since TensorFlow has no convolution with channels first
        # on a CPU. As an einsum with "..." it would take ten times as long.
        axis = -1 if self.data_format == "channels_last" else 1
        kernel = ops.reshape(kernel, kernel.shape[-2:])
        outputs = ops.tensordot(inputs, kernel, [[axis], [0]])
        return ops.moveaxis(outputs, -1, axis)
