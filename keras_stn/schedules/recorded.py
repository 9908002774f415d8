import keras
import numpy as np
from keras import ops

from keras_stn.schedules.records import read_records
from keras_stn.schedules.schedule import Schedule


@keras.saving.register_keras_serializable(package="keras_stn")
class Recorded(Schedule):
    """The values that a self-tuned network had, weight update by update.

    The value at a step is that of the last row at this step or before it:
    what the network used at this weight update, since it keeps its values
    until a tuning step changes them. Before the first row it is the first
    row's. The configuration holds the numbers, and does not need the file.

    Args:
        source: Path of a `.csv` or `.jsonl` file of
            `keras_stn.callbacks.ScheduleLogger`, or a dictionary of its
            columns: `step` and one for each hyperparameter.

    Raises:
        ValueError: If there is no schedule in `source`, or its steps do not
            ascend.

    Example:

    >>> import keras_stn as stn
    >>> rate = stn.Float("dropout", 0.0, 0.9, default=0.05)
    >>> schedule = stn.schedules.Recorded(
    ...     {"step": [0, 2, 4], "dropout": [0.125, 0.25, 0.5]}
    ... )
    >>> [float(schedule(step, rate)) for step in (0, 1, 2, 9)]
    [0.125, 0.125, 0.25, 0.5]
    """

    def __init__(self, source):
        records = read_records(source)
        steps = records.pop("step", np.zeros(0))
        if not len(steps) or np.isnan(steps).any():
            raise ValueError(
                "A recorded schedule needs a column `step`, the weight "
                "updates done so far, with a number in every row. "
                f"Received: columns {['step', *records]}, {len(steps)} steps"
            )
        if (np.diff(steps) < 0).any() or (steps % 1).any():
            raise ValueError(
                "The `step`s of a recorded schedule must be integers in "
                f"ascending order. Received: step={steps.tolist()}"
            )
        lengths = {name: len(column) for name, column in records.items()}
        if set(lengths.values()) - {len(steps)}:
            raise ValueError(
                "Every column of a recorded schedule must have as many "
                f"numbers as `step`. Received: step of {len(steps)}, {lengths}"
            )
        self.steps = steps.astype("int64")
        self.columns = records

    def value(self, step, hyperparameter):
        self.check([hyperparameter])
        column = self.columns[hyperparameter.name]
        # What a row does not tell is as in the row before.
        is_told = ~np.isnan(column)
        steps = self.steps[is_told]
        column = column[is_told].astype("float32")
        rows = ops.searchsorted(
            ops.convert_to_tensor(steps),
            ops.reshape(ops.cast(step, "int64"), (1,)),
            side="right",
        )
        row = ops.maximum(rows[0] - 1, 0)
        return ops.take(ops.convert_to_tensor(column), row)

    def check(self, hyperparameters):
        for hyperparameter in hyperparameters:
            column = self.columns.get(hyperparameter.name, [np.nan])
            if np.isnan(column).all():
                raise ValueError(
                    "The recorded schedule does not tell the values of the "
                    f"hyperparameter '{hyperparameter.name}'. Record a network "
                    "with this hyperparameter, or give it a number in this "
                    f"one. Received: columns {list(self.columns)}"
                )

    def get_config(self):
        return {
            "source": {
                "step": self.steps.tolist(),
                **{
                    name: column.tolist()
                    for name, column in self.columns.items()
                },
            }
        }
