import contextlib
import inspect
import tempfile

import keras

from keras_stn.conversion.from_keras import check_model
from keras_stn.models.self_tuning_model import SelfTuningModel

# What `SelfTuner` takes and `fit` does not, for functions of `hp`.
SEARCH_ARGUMENTS = ("max_trials", "tuner", "seed", "directory", "project_name")


def tune(
    model,
    x=None,
    y=None,
    tune=None,
    ranges=None,
    hyper_optimizer=None,
    patience=None,
    **kwargs,
):
    """Trains a Keras model once while its regularization tunes itself.

    The shortest way from an ordinary model to a tuned one: it converts the
    model by `SelfTuningModel.from_keras`, calls `fit`, and returns to the
    epoch with the lowest `val_loss`.

    Args:
        model: A functional or sequential Keras model, compiled; a function
            without arguments that returns one; or, with KerasTuner
            installed, a function of `hp`, as `SelfTuner` takes.
        x: As in `keras.Model.fit`.
        y: As in `keras.Model.fit`.
        tune: List of the names of what to tune, or `None` for all that the
            model uses, or that `hp` declares and training can tune.
        ranges: Dictionary from names to pairs `(low, high)`, as in
            `SelfTuningModel.from_keras`; not for a function of `hp`, which
            declares them.
        hyper_optimizer: As in `SelfTuningModel.compile`.
        patience: Integer, after how many epochs without a lower `val_loss`
            training ends, or `None` for never.
        **kwargs: Further arguments of `SelfTuningModel.fit`: the
            `validation_data` to tune on, `epochs` and others. For a function
            of `hp` also `max_trials`, `tuner`, `seed`, `directory` and
            `project_name` of `SelfTuner`; without a `directory` its files
            are not kept.

    Returns:
        The `SelfTuningModel`, ready to predict: `hyperparameter_values()`
        tells what it came to, `to_keras()` makes an ordinary model of it.

    Raises:
        ValueError: If there is nothing to tune, nothing to tune on, or the
            model is not compiled.

    Example:

    >>> import keras
    >>> import numpy as np
    >>> import keras_stn as stn
    >>> model = keras.Sequential([
    ...     keras.Input((8,)),
    ...     keras.layers.Dense(16, activation="relu"),
    ...     keras.layers.Dropout(0.2),
    ...     keras.layers.Dense(1),
    ... ])
    >>> model.compile("adam", loss="mse")
    >>> x, y = np.ones((64, 8)), np.ones((64, 1))
    >>> tuned = stn.tune(model, x, y, validation_split=0.25, verbose=0)
    >>> len(tuned.hyperparameter_values())
    1

    Reference:
        [MacKay et al., 2019](https://arxiv.org/abs/1903.03088)
    """
    callbacks = kwargs.pop("callbacks", None) or []
    if not isinstance(callbacks, list | tuple):
        callbacks = [callbacks]
    stopping = keras.callbacks.EarlyStopping(
        monitor="val_loss",
        patience=patience or kwargs.get("epochs", 1),
        mode="min",
        restore_best_weights=True,
    )
    kwargs["callbacks"] = [*callbacks, stopping]
    if takes_hp(model):
        return search(model, x, y, tune, ranges, hyper_optimizer, kwargs)
    for name in SEARCH_ARGUMENTS:
        if name in kwargs:
            raise ValueError(
                f"`{name}` is for a function of `hp`, whose values KerasTuner "
                "searches where training cannot tune them. Leave it out, or "
                f"pass such a function. Received: {name}={kwargs[name]!r} "
                f"and model={model!r}"
            )
    if not isinstance(model, keras.Model):
        model = model()
    check_model(model)
    if not model.compiled:
        raise ValueError(
            "`model` must be compiled. Call `model.compile(optimizer, loss)` "
            f"first. Received: model={model.name}, which is not"
        )
    tuned = SelfTuningModel.from_keras(
        model,
        tune,
        ranges,
        hyper_optimizer=hyper_optimizer,
        verbose=kwargs.get("verbose") != 0,
    )
    tuned.fit(x, y, **kwargs)
    return tuned


def takes_hp(model):
    """Whether it is a function that wants an argument, or a `HyperModel`."""
    if isinstance(model, keras.Model):
        return False
    if hasattr(model, "build"):
        return True
    if not callable(model):
        raise ValueError(
            "`model` must be a compiled Keras model or a function that "
            f"returns one. Received: model={model!r}"
        )
    required = [
        parameter
        for parameter in inspect.signature(model).parameters.values()
        if parameter.default is parameter.empty
        and parameter.kind <= parameter.POSITIONAL_OR_KEYWORD
    ]
    return bool(required)


def search(build, x, y, tune, ranges, hyper_optimizer, arguments):
    """Searches by `SelfTuner` and returns the best network."""
    if ranges is not None:
        raise ValueError(
            "A function of `hp` declares the ranges itself, by `hp.Float`. "
            f"Leave `ranges` out. Received: ranges={ranges}"
        )
    # Imported here: models without `hp` need no KerasTuner.
    from keras_stn import SelfTuner

    own = {
        name: arguments.pop(name)
        for name in SEARCH_ARGUMENTS
        if name in arguments
    }
    with contextlib.ExitStack() as stack:
        if "directory" not in own:
            folder = tempfile.TemporaryDirectory()
            own["directory"] = stack.enter_context(folder)
        tuner = SelfTuner(
            build, tunable=tune, hyper_optimizer=hyper_optimizer, **own
        )
        tuner.search(x, y, **arguments)
        return tuner.get_best_self_tuning_models()[0]
