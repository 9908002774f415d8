"""What penalties and losses see of the step that is being computed.

Keras hands arguments to layers only. A regularizer gets a weight and a loss
gets labels and predictions, and both run after the network's call is over; so
the sample waits for them here. The variables are the thread's own, since each
replica of a strategy traces its step in a thread of its own.
"""

import contextlib
import contextvars

from keras import ops

from keras_stn.hyperparameters.hyperparameter import HyperParameter

_SAMPLE = contextvars.ContextVar("sample", default=None)
_STEP = contextvars.ContextVar("step", default=None)
_REPLAYED = contextvars.ContextVar("replayed", default=None)


class Step:
    """One weight update, tuning update or evaluation of a model.

    Args:
        kind: `"training"`, `"tuning"`, `"evaluation"`, or `"direct"` where
            the model's loss is asked for outside of these.
        model: The `SelfTuningModel` whose step it is.
        sample: A `Sample`, or `None` until the model has been called.
    """

    def __init__(self, kind, model, sample=None):
        self.kind = kind
        self.model = model
        self.sample = sample
        # The `LabelMix` of each layer that mixed examples, in their order.
        self.mixes = []
        self.has_mixed_labels = False
        # Whether the hyperparameters are perturbed where the model trains.
        self.is_perturbed = True
        # Pairs of a gradient that was computed before, and its variable.
        self.response_gradients = []
        # How often the loss at hand holds the batch, with other labels.
        self.copies = 1

    @property
    def is_training(self):
        return self.kind == "training"


def current_step():
    """The `Step` that is being computed, or `None`."""
    return _STEP.get()


def current_sample():
    """The `Sample` that penalties and losses belong to.

    Returns:
        Inside of a model's call the sample of that call, then that of the
        step; `None` outside of a `SelfTuningModel`.
    """
    sample, step = _SAMPLE.get(), _STEP.get()
    if sample is None and step is not None:
        return step.sample
    return sample


@contextlib.contextmanager
def held(variable, value):
    """Gives a context variable a value for a while.

    Args:
        variable: A `contextvars.ContextVar`.
        value: The value, which is yielded.
    """
    token = variable.set(value)
    try:
        yield value
    finally:
        variable.reset(token)


def entered(step):
    """Makes `step` the current one."""
    return held(_STEP, step)


def sampled(sample):
    """Makes `sample` the current one."""
    return held(_SAMPLE, sample)


def replayed(values):
    """Gives hyperparameters that no model samples the values of a schedule.

    Args:
        values: Dictionary from names to scalar tensors.
    """
    return held(_REPLAYED, values)


def value_without_sample(hyperparameter, continuous=False):
    """What a hyperparameter is where no model samples it.

    Args:
        hyperparameter: A `Float` or `Int`.
        continuous: Boolean. If `True`, an `Int` comes as the middle of its
            step.

    Returns:
        The starting value, a Python number; or that of the schedule that is
        being replayed, a float32 tensor of shape `(1,)`.
    """
    values = _REPLAYED.get()
    offset = hyperparameter.step / 2 if continuous else 0
    if values is None or hyperparameter.name not in values:
        return hyperparameter.default + offset
    return ops.expand_dims(values[hyperparameter.name], 0) + offset


def current_values(value, dtype="float32"):
    """The values of an argument that may be tuned, one a group.

    Args:
        value: A number or a hyperparameter.
        dtype: The dtype of the result.

    Returns:
        Tensor of shape `(G,)`: the rows of the current sample; the one
        number, or the value of `value_without_sample`, where there is none.

    Raises:
        ValueError: If the model around does not know the hyperparameter.
    """
    if not isinstance(value, HyperParameter):
        return ops.full((1,), value, dtype)
    sample = current_sample()
    if sample is None:
        value = value_without_sample(value)
        return ops.broadcast_to(ops.cast(value, dtype), (1,))
    if value.name not in sample:
        raise ValueError(
            "A penalty or loss uses a hyperparameter that the model around "
            "it does not know. Compile the model with the loss, or make a "
            "new `SelfTuningModel` after changing a layer's regularizers. "
            f"Received: hyperparameter={value.name!r}"
        )
    return ops.cast(sample[value.name], dtype)
