"""Sentences about the values that training cannot tune."""

from keras_stn.conversion.graph import find_places
from keras_stn.conversion.strengths import is_keras

OF_THE_OPTIMIZER = (
    "sets `{}` of the optimizer; the gradient of the validation loss tells "
    "how the network responds to regularization, not to how it is trained"
)
OF_THE_LOSS = (
    "sets `{}` of compile(); a loss of `keras_stn.losses` takes an `stn.Float` "
    "for its label smoothing"
)
HIDDEN = (
    "reaches no argument that a layer's configuration shows; pass it to a "
    "layer of `keras.layers` or `keras_stn.layers` as it is"
)
ERROR = (
    "has values in its range at which no model can be built; narrow the range. "
    "One of them raised {}"
)
STRUCTURE = "decides which layers there are"
ALSO = "is used by '{}', but decides something else as well: it {}"
OTHER_CLASS = (
    "sets `{}` of '{}', a `{}`; pass it to a layer of `keras_stn.layers` that "
    "does the same"
)
OF_A_LAYER = "sets `{}` of '{}' or what is made of it"


def why_not(reach, model):
    """Why a value is left to the search.

    Args:
        reach: Its `Reach`.
        model: The model that it was found in.

    Returns:
        String, the rest of a sentence that begins with the value's name.
    """
    if reach.error is not None:
        return ERROR.format(f"{type(reach.error).__name__}: {reach.error}")
    if not reach.entries:
        return HIDDEN
    reason = describe_entry(reach.entries[0], model)
    if reach.candidates:
        return ALSO.format(reach.candidates[0].place.name, reason)
    return reason


def describe_entry(entry, model):
    if entry.owner == "optimizer":
        return OF_THE_OPTIMIZER.format(entry.argument)
    if isinstance(entry.owner, str):
        return OF_THE_LOSS.format(entry.owner)
    if entry.argument == "class":
        return STRUCTURE
    layer = find_places(model)[entry.owner].layer
    if not is_keras(layer):
        kind = type(layer).__name__
        return OTHER_CLASS.format(entry.argument, layer.name, kind)
    return OF_A_LAYER.format(entry.argument, layer.name)
