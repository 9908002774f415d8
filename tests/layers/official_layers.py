"""The official hyper layers' arrays in our names and our layout."""

import numpy as np

from tests.reference_arrays import load_reference

NAMES = {
    "hyper": ("elem", "hnet", "htensor_to_scalars.weight"),
    "delta": ("general", "response", "hyper_bottleneck.weight"),
}


class OfficialLayer:
    """One file of arrays of a hyper linear map or convolution.

    Args:
        file: String, the file's name without its ending.
        axes: The axes of PyTorch's kernel in the order of Keras's.
    """

    def __init__(self, file, axes):
        self.arrays = load_reference(file)
        self.axes = axes
        self.names = NAMES["delta" if file.startswith("delta") else "hyper"]
        self.has_bias = f"p/{self.names[0]}_bias" in self.arrays
        # A trained factor of the kernel and the bias, in the older code.
        self.scalar = self.arrays.get("p/elem_scalar", np.ones(1))[0]

    def weights(self):
        """Our weights by name, the scalar folded into kernel and bias."""
        weights = self._named("p/")
        weights["kernel"] *= self.scalar
        if self.has_bias:
            weights["bias"] *= self.scalar
        return weights

    def gradients(self):
        """The gradients with respect to the weights of before the scalar."""
        return self._named("grad/p/")

    def unfold(self, gradients):
        """Our gradients, with respect to the weights before the scalar.

        Returns:
            A pair of the gradients by name, and the scalar's.
        """
        official = self._named("p/")
        folded = ["kernel", "bias"] if self.has_bias else ["kernel"]
        scalar = sum(np.sum(gradients[n] * official[n]) for n in folded)
        scaled = {n: gradients[n] * self.scalar for n in folded}
        return {**gradients, **scaled}, scalar

    def _named(self, prefix):
        elementary, response, gates = self.names
        gate = self.arrays[prefix + gates]
        units = len(gate) // 2
        weights = {
            "kernel": self._kernel(prefix + elementary),
            "response_kernel": self._kernel(prefix + response),
            # Rows of the official matrix: kernel gates, then bias gates.
            "kernel_gate": gate[:units].T,
        }
        if self.has_bias:
            weights["bias"] = self.arrays[f"{prefix}{elementary}_bias"]
            weights["response_bias"] = self.arrays[f"{prefix}{response}_bias"]
            weights["bias_gate"] = gate[units:].T
        return {name: np.array(w, "float32") for name, w in weights.items()}

    def _kernel(self, name):
        return self.arrays[f"{name}_weight"].transpose(self.axes)


def assert_close(actual, desired):
    """Within 1e-5 of the largest entry, which float32 can give of sums."""
    np.testing.assert_allclose(
        actual, desired, rtol=1e-5, atol=1e-5 * np.abs(desired).max()
    )
