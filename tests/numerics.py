"""Values and gradients of functions of tensors, as NumPy arrays."""

import keras
import tensorflow as tf


def to_numpy(structure):
    """Turns every tensor of a nested structure into a NumPy array."""
    return keras.tree.map_structure(
        lambda x: x.numpy() if hasattr(x, "numpy") else x, structure
    )


def value_and_gradients(function, sources):
    """Calls `function` and differentiates its scalar outcome.

    Args:
        function: Callable without arguments that returns a scalar tensor.
        sources: List of tensors and `keras.Variable`.

    Returns:
        A pair of the value and the list of gradients, zero where the value
        does not depend on a source.
    """
    sources = [getattr(source, "value", source) for source in sources]
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(sources)
        value = function()
    gradients = tape.gradient(
        value, sources, unconnected_gradients=tf.UnconnectedGradients.ZERO
    )
    # Those of lookups come as slices.
    gradients = [tf.convert_to_tensor(gradient) for gradient in gradients]
    return to_numpy((value, gradients))
