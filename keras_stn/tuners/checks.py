"""Sentences about a search that could not succeed."""

import keras
import keras_tuner
from keras.src.utils import io_utils
from keras_tuner import errors
from keras_tuner.engine.trial import TrialStatus

# Ways to say what to tune and validate on.
VALIDATION = ("validation_data", "validation_split", "tuning_data")


def has_own_fit(hypermodel):
    """Whether a hypermodel trains in a way of its own."""
    return type(hypermodel).fit is not keras_tuner.HyperModel.fit


def check_model(model, must_be_compiled):
    """Raises a sentence about what `build(hp)` returned."""
    if not isinstance(model, keras.Model):
        raise errors.FatalTypeError(
            "The model-building function, or `HyperModel.build`, must return "
            "a compiled Keras model. Add `return model` at its end. "
            f"Received: {model!r}, of type {type(model).__name__}"
        )
    if must_be_compiled and not model.compiled:
        raise errors.FatalValueError(
            "The model-building function must return a compiled model. Call "
            "`model.compile(optimizer, loss)` before it returns, or pass "
            "`optimizer` and `loss` to the tuner. Received: a model that is "
            f"not compiled, {model.name}"
        )


def check_validation(arguments):
    """Raises a sentence if there is nothing to tune on."""
    if not any(arguments.get(name) for name in VALIDATION):
        raise ValueError(
            "Hyperparameters are tuned on validation data, and `search` got "
            "none. Pass `validation_data=(x_val, y_val)` or "
            "`validation_split=0.2`. Received: "
            f"{', '.join(arguments) or 'no arguments by name'}"
        )


def check_rest(oracle):
    """Raises a sentence if a search has nothing left to search."""
    hyperband = keras_tuner.oracles.HyperbandOracle
    if isinstance(oracle, hyperband) and not oracle.get_space().space:
        raise ValueError(
            "All hyperparameters are tuned during training, so nothing is "
            "left for Hyperband to search. Leave `tuner` out: one training "
            "does it. Received: a search by Hyperband of an empty space"
        )


def check_objective(objective, logs):
    """Raises a sentence if the objective is not in the logs."""
    if objective.has_value(logs) or objective.name == "default_objective":
        return
    known = ", ".join(name for name in logs if not name.endswith("_scale"))
    raise errors.FatalValueError(
        "`objective` must be in the logs of each epoch, as 'val_loss' is. "
        f"There are: {known}. Received: objective={objective.name!r}"
    )


def check_nan(trial, epoch, best):
    """Says that training ended in NaN, and raises if it had come to nothing."""
    message = (
        f"The loss of trial {trial.trial_id} became NaN in epoch {epoch + 1}, "
        "so its training ends. A smaller learning rate or "
        "`clipnorm` in the optimizer may help."
    )
    if best is None:
        raise errors.FailedTrialError(message)
    io_utils.print_msg(f"{message} Its best epoch before that counts.")


def check_completed(best_trials):
    """Raises a sentence if no trial of a search was completed."""
    if best_trials and best_trials[0].status != TrialStatus.COMPLETED:
        raise RuntimeError(
            "No trial could be completed. The last line says what the first "
            f"of them met:\n{best_trials[0].message}"
        )
