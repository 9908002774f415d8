import functools

import keras
from keras import ops

from keras_stn.hyperparameters.space import unique
from keras_stn.hyperparameters.step import replayed
from keras_stn.layers.hyper_layer import find_declarations
from keras_stn.layers.hyper_layer import find_layers
from keras_stn.layers.response_layer import ResponseLayer
from keras_stn.models.checks import check_names
from keras_stn.models.self_tuning_model import SelfTuningModel
from keras_stn.models.self_tuning_model import find_loss_declarations
from keras_stn.schedules.schedule import Schedule

STEPS = ("train_step", "test_step")


class ReplaySchedule(keras.callbacks.Callback):
    """Trains an ordinary network by a schedule of hyperparameters.

    The network is one whose layers, regularizers or loss take `stn.Float` and
    `stn.Int`, compiled and fitted as any Keras model. On its own it acts at
    their starting values; while `fit` runs with this callback, at those of
    the schedule. With `stn.schedules.Recorded` it trains as a self-tuned
    network did, from scratch and at the cost of an ordinary one; the other
    schedules are baselines for that.

    The step of the schedule is the optimizer's count of weight updates. Values
    are computed on the device, inside of the step that Keras compiles, so each
    weight update has its own, whatever `steps_per_execution` is. `fit` on the
    same optimizer goes on in the schedule where it was.

    At the end of each epoch the logs get every value under its name. Place
    the callback before those that read the logs. Validation during `fit`
    uses the values at hand, which shows in penalties alone; once `fit` is
    over, the network is as it was. If `fit` ended with an error, call
    `on_train_end()` for that.

    Args:
        schedule: A schedule of `keras_stn.schedules`.

    Raises:
        ValueError: When training begins, if the model is a `SelfTuningModel`,
            has no hyperparameter, or not those of the schedule.

    Example:

    >>> import keras
    >>> import numpy as np
    >>> import keras_stn as stn
    >>> rate = stn.Float("dropout", 0.0, 0.9, default=0.1)
    >>> network = keras.Sequential([
    ...     keras.Input((8,)),
    ...     keras.layers.Dense(16, activation="relu"),
    ...     stn.layers.Dropout(rate),
    ...     keras.layers.Dense(1),
    ... ])
    >>> network.compile("sgd", loss="mse")
    >>> schedule = stn.schedules.Recorded(
    ...     {"step": [0, 1], "dropout": [0.125, 0.25]}
    ... )
    >>> replay = stn.callbacks.ReplaySchedule(schedule)
    >>> x, y = np.ones((64, 8)), np.ones((64, 1))
    >>> history = network.fit(x, y, callbacks=[replay], verbose=0)
    >>> history.history["dropout"]
    [0.25]

    Reference:
        [MacKay et al., 2019](https://arxiv.org/abs/1903.03088), section 4.1.
    """

    def __init__(self, schedule):
        super().__init__()
        if not isinstance(schedule, Schedule):
            raise ValueError(
                "`schedule` must be a schedule of `keras_stn.schedules`, such "
                "as `stn.schedules.Recorded('schedule.csv')` or "
                "`stn.schedules.Fixed({'dropout': 0.3})`. "
                f"Received: schedule={schedule!r}"
            )
        self.schedule = schedule
        self.hyperparameters = []
        self._frozen = []

    def on_train_begin(self, logs=None):
        # An earlier call of `fit` may have ended with an error.
        self.on_train_end()
        self.hyperparameters = find_hyperparameters(self.model)
        self.schedule.check(self.hyperparameters)
        for name in STEPS:
            step = getattr(self.model, name)
            setattr(self.model, name, ReplayedStep(step, self))
        self.freeze()
        # What was compiled before knows nothing of the schedule.
        self.model.make_train_function(force=True)
        self.model.make_test_function(force=True)

    def values(self):
        """The values of the schedule at the weight update to come.

        Returns:
            Dictionary from names to scalar tensors.
        """
        step = ops.convert_to_tensor(self.model.optimizer.iterations)
        return {h.name: self.schedule(step, h) for h in self.hyperparameters}

    def on_epoch_end(self, epoch, logs=None):
        logs = {} if logs is None else logs
        check_names([h.name for h in self.hyperparameters], logs)
        values = self.values()
        for hyperparameter in self.hyperparameters:
            value = ops.convert_to_numpy(values[hyperparameter.name])
            logs[hyperparameter.name] = hyperparameter.to_python(value)

    def on_train_end(self, logs=None):
        for name in STEPS:
            step = vars(self.model).get(name)
            if isinstance(step, ReplayedStep):
                step.callback.unfreeze()
                delattr(self.model, name)
                if not is_method(self.model, name, step.step):
                    setattr(self.model, name, step.step)
                self.model.train_function = self.model.test_function = None

    def freeze(self):
        """Spares the responses of hyper layers, which nothing here uses.

        They have no gradient, of which the optimizer would warn.
        """
        # For all variables, since it would refuse those that come later.
        if not self.model.optimizer.built:
            with self.model.distribute_strategy.scope():
                self.model.optimizer.build(self.model.trainable_variables)
        self._frozen = [
            variable
            for layer in find_layers(self.model)
            if isinstance(layer, ResponseLayer)
            for variable in layer.response_variables()
            if variable.trainable
        ]
        for variable in self._frozen:
            variable.trainable = False

    def unfreeze(self):
        for variable in self._frozen:
            variable.trainable = True
        self._frozen = []


class ReplayedStep:
    """A model's step, with the values of a schedule at hand.

    Args:
        step: Callable, the model's `train_step` or `test_step`.
        callback: The `ReplaySchedule`.
    """

    def __init__(self, step, callback):
        functools.update_wrapper(self, step)
        self.step = step
        self.callback = callback

    def __call__(self, *args, **kwargs):
        with replayed(self.callback.values()):
            return self.step(*args, **kwargs)


def is_method(model, name, step):
    """Whether a step is the method of the model's class."""
    return getattr(step, "__func__", None) is getattr(type(model), name)


def find_hyperparameters(model):
    """The hyperparameters of an ordinary network and its loss.

    Args:
        model: A compiled `keras.Model`.

    Returns:
        List of `Float` and `Int`.

    Raises:
        ValueError: If there is none, or the model is a `SelfTuningModel`.
    """
    if isinstance(model, SelfTuningModel):
        raise ValueError(
            "A `SelfTuningModel` follows no schedule, since it tunes its "
            "hyperparameters. Compile and fit an ordinary network: a new one, "
            "or the `network` of this model. Received: "
            f"model={model.name}"
        )
    declarations = [
        *find_declarations(model),
        *find_loss_declarations(model.loss),
    ]
    if not declarations:
        raise ValueError(
            "The network has no hyperparameter that could follow a schedule. "
            "Give one of its layers an `stn.Float` or `stn.Int` where it takes "
            "a number, as in `stn.layers.Dropout(stn.Float('dropout', 0.0, "
            f"0.9, default=0.05))`. Received: model={model.name}"
        )
    return unique(declarations)
