import keras

from keras_stn.hyperparameters.hyperparameter import is_number
from keras_stn.schedules.schedule import Schedule
from keras_stn.schedules.schedule import check_known


@keras.saving.register_keras_serializable(package="keras_stn")
class Fixed(Schedule):
    """Holds every hyperparameter at one value.

    The baseline of a search: what a network does at one choice of values.

    Args:
        values: Dictionary from names of hyperparameters to values; the others
            stay where they start. If `None`, all of them do.

    Raises:
        ValueError: If a value is not a finite number.

    Example:

    >>> import keras_stn as stn
    >>> rate = stn.Float("dropout", 0.0, 0.9, default=0.05)
    >>> schedule = stn.schedules.Fixed({"dropout": 0.25})
    >>> float(schedule(100, rate))
    0.25
    """

    def __init__(self, values=None):
        check_numbers("values", values or {})
        self.values = values

    def value(self, step, hyperparameter):
        values = self.values or {}
        return values.get(hyperparameter.name, hyperparameter.default)

    def check(self, hyperparameters):
        check_known("values", self.values or {}, hyperparameters)

    def get_config(self):
        return {"values": self.values}


def check_numbers(argument, values):
    """Raises a sentence if an argument does not give names finite numbers.

    Args:
        argument: String, the name of the argument.
        values: What was given for it, to be a dictionary.
    """
    if not isinstance(values, dict) or not all(
        is_number(value, float) for value in values.values()
    ):
        raise ValueError(
            f"`{argument}` must be a dictionary from names of hyperparameters "
            f"to finite numbers. Received: {argument}={values!r}"
        )
