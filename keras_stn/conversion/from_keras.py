"""A network that can be tuned, from an ordinary Keras model."""

import keras

from keras_stn.conversion.conversion_plan import ConversionPlan
from keras_stn.conversion.graph import is_graph
from keras_stn.conversion.graph import rebuild
from keras_stn.conversion.weights import copy_weights
from keras_stn.layers.hyper_layer import find_declarations

# What a model may do in a way of its own, and would lose.
OWN_STEPS = ("train_step", "test_step", "compute_loss")


def to_tunable(model, tune=None, ranges=None, response=None, further=None):
    """Rebuilds a Keras model of layers that tune and respond.

    Args:
        model: A functional or sequential model.
        tune: As in `ConversionPlan`.
        ranges: As in `ConversionPlan`.
        response: As in `ConversionPlan`.
        further: List of hyperparameters that no layer declares, or `None`.

    Returns:
        Pair of the network, with the weights of the model, and the
        `ConversionSummary`.

    Raises:
        ValueError: If the model's graph is not known, or nothing in it can be
            tuned or respond.
    """
    plan = ConversionPlan(model, tune, ranges, response)
    summary = plan.summarize()
    network = rebuild(model, plan.replace)
    if model.built:
        copy_weights(model, network)
    if not find_declarations(network) and not further:
        names = dict.fromkeys(candidate.name for candidate in plan.candidates)
        known = ", ".join(names) or "nothing"
        raise ValueError(
            "The model has no value to tune. Add a `keras.layers.Dropout`, a "
            "`Random*` layer or a regularizer, or name in `tune` what it "
            "leaves at 0 or a layer of `keras_stn` holds as a number. "
            f"Received: model={model.name}, tune={tune}, which "
            f"could tune {known}"
        )
    if not summary.responding:
        raise ValueError(
            "No layer of the model can respond to hyperparameters, so that "
            "nothing could be tuned. Let one be trained and be picked by "
            f"`response`. Received: model={model.name}, response={response}\n"
            f"{summary}"
        )
    return network, summary


def check_model(model):
    """Raises a sentence about a model that cannot be converted."""
    if not isinstance(model, keras.Model):
        raise ValueError(
            "`model` must be a Keras model, functional or sequential. "
            f"Received: model={model!r}"
        )
    if hasattr(model, "hyperparameter_values"):
        raise ValueError(
            "The model tunes itself already. Take `model.to_keras()` to start "
            f"anew from the values it has. Received: model={model.name}"
        )
    if not is_graph(model):
        raise ValueError(
            "A subclassed model hides which layers it calls. Build it of "
            "functional calls, `keras.Model(inputs, outputs)`, or give it "
            "`keras_stn.layers` in place of Keras's and wrap it with "
            "`keras_stn.SelfTuningModel(model)`. Received: "
            f"model={model.name}, of class {type(model).__name__}"
        )
    for name in OWN_STEPS:
        if getattr(type(model), name) is not getattr(keras.Model, name):
            raise ValueError(
                f"The model has a `{name}` of its own, which a self-tuning "
                "model would not use. Put what it does into a loss, a layer "
                "or a subclass of `keras_stn.SelfTuningModel`. Received: "
                f"model={model.name}, of class {type(model).__name__}"
            )
