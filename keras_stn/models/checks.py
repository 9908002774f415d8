"""What is wrong with an argument, in a sentence."""

import keras

from keras_stn import backend

KINDS = ("", "val_")


PRESETS = ("auto", "paper")


def check_arguments(
    network, train_steps, tuning_steps, groups, entropy_weight, preset
):
    """Raises a sentence about the first argument that cannot be used."""
    if not isinstance(network, keras.Model):
        raise ValueError(
            "`network` must be a `keras.Model`: functional, sequential or "
            f"subclassed. Received: network={network!r}"
        )
    if hasattr(network, "hyperparameter_values"):
        raise ValueError(
            "`network` is a `SelfTuningModel` already; wrap the network "
            "inside it, `network.network`."
        )
    for name, value in (
        ("train_steps", train_steps),
        ("tuning_steps", tuning_steps),
        ("groups", 1 if groups is None else groups),
    ):
        if not is_count(value, 1):
            raise ValueError(
                f"`{name}` must be a positive integer"
                f"{' or `None`' if name == 'groups' else ''}. "
                f"Received: {name}={value!r}"
            )
    if not entropy_weight >= 0:
        raise ValueError(
            "`entropy_weight` must not be negative. "
            f"Received: entropy_weight={entropy_weight!r}"
        )
    if preset not in PRESETS:
        raise ValueError(
            "`preset` must be 'auto', or 'paper' for the settings of MacKay et "
            f"al., 2019. Received: preset={preset!r}"
        )


def check_strategy(strategy):
    """Raises a sentence if a strategy cannot train a `SelfTuningModel`."""
    if not backend.is_supported(strategy):
        raise ValueError(
            "A `SelfTuningModel` cannot be made under this strategy, whose "
            "replicas do not take each step together. Use "
            "`tf.distribute.MirroredStrategy` for the devices of one machine "
            "or `tf.distribute.MultiWorkerMirroredStrategy` for several. "
            f"Received: strategy={type(strategy).__name__}"
        )


def check_steps_per_execution(strategy, steps_per_execution):
    """Raises a sentence if TensorFlow cannot take several steps at once."""
    if steps_per_execution > 1 and backend.worker(strategy)[1] > 1:
        raise ValueError(
            "`steps_per_execution` must be 1 where several workers train "
            "together: TensorFlow cannot read their data in a loop. "
            f"Received: steps_per_execution={steps_per_execution}"
        )


def check_names(names, metrics):
    """Raises a sentence if a hyperparameter's name hides another log."""
    # The last three are entries that Keras's callbacks add.
    taken = {
        "tuning_loss",
        "skipped_tuning_steps",
        *(f"{kind}{name}" for name in ("loss", *metrics) for kind in KINDS),
        "epoch",
        "batch",
        "learning_rate",
        *(f"{name}_scale" for name in names),
    }
    for name in names:
        if name in taken:
            raise ValueError(
                f"The hyperparameter '{name}' has the name of another entry "
                "of the logs. Give it another name. Entries of the logs: "
                f"{sorted(taken)}"
            )


def is_count(value, minimum):
    """Whether `value` is an integer of at least `minimum`."""
    return (
        isinstance(value, int)
        and not isinstance(value, bool)
        and value >= minimum
    )
