"""An ordinary Keras model, from a network that was tuned."""

from keras_stn.conversion.graph import copy_layer
from keras_stn.conversion.graph import is_graph
from keras_stn.conversion.graph import rebuild
from keras_stn.conversion.weights import copy_weights
from keras_stn.layers.hyper_layer import HyperLayer
from keras_stn.layers.hyper_layer import find_regularizers
from keras_stn.layers.ordinary import at_values


def to_ordinary(network, values, sample):
    """Rebuilds a network of Keras's layers, at given hyperparameters.

    Args:
        network: A functional or sequential model, built.
        values: Dictionary from the names of hyperparameters to numbers.
        sample: A `Sample` of one row, of the same hyperparameters.

    Returns:
        A Keras model with the weights W(λ), which is not compiled.

    Raises:
        ValueError: If the network is subclassed, or has a layer that Keras
            has none for.
    """
    if not is_graph(network):
        raise ValueError(
            "Only a functional or sequential network becomes a Keras model; "
            "a subclassed one hides which layers it calls. Use "
            "`model.export(path)`, which needs no source code to be loaded. "
            f"Received: network={network.name}, of class "
            f"{type(network).__name__}"
        )

    def replace(layer):
        if isinstance(layer, HyperLayer):
            return layer.to_keras(values)
        if find_regularizers(layer):
            config = at_values(layer.get_config(), values)
            return type(layer).from_config(config)
        return copy_layer(layer)

    model = rebuild(network, replace)
    copy_weights(network, model, sample)
    return model
