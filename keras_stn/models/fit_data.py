"""From the arguments of `fit` to cycles of batches."""

from keras_stn.models import alternation
from keras_stn.models.alternation import Alternation
from keras_stn.models.state_streams import is_stateful


def make_cycles(
    model,
    training_data,
    tuning_data,
    validation_data,
    validation_split,
    batch_size,
    tuning_batch_size,
    steps_per_epoch,
    shuffle,
    class_weight,
):
    """Chooses the data to tune on, and lets the two kinds of batches alternate.

    Args:
        model: The `SelfTuningModel`.
        training_data: Triple of `x`, `y` and `sample_weight`.
        tuning_data: As in `fit`, or `None` for the validation data.
        validation_data: As in `fit`.
        validation_split: As in `fit`.
        batch_size: As in `fit`.
        tuning_batch_size: Integer or `None`, for arrays to tune on.
        steps_per_epoch: As in `fit`.
        shuffle: As in `fit`.
        class_weight: As in `fit`.

    Returns:
        Pair of an `Alternation` and the validation data.

    Raises:
        ValueError: If there are no data to tune on, or data are empty.
    """
    if validation_split and validation_data is None:
        training_data, validation_data = alternation.split_validation(
            *training_data, validation_split
        )
    is_validation_data = tuning_data is None
    if is_validation_data:
        tuning_data = validation_data
    if tuning_data is None:
        raise ValueError(
            "There are no data to tune the hyperparameters on. Pass "
            "`validation_data`, `validation_split` or `tuning_data` to `fit`."
        )
    cycles = Alternation(
        alternation.training_adapter(
            *training_data, batch_size, steps_per_epoch, shuffle, class_weight
        ),
        alternation.tuning_adapter(
            tuning_data, tuning_batch_size, bool(shuffle), is_validation_data
        ),
        model.train_steps,
        model.tuning_steps,
        steps_per_epoch,
        model.distribute_strategy,
        is_stateful(model.network),
    )
    return cycles, validation_data
