"""When a callback writes during an epoch."""

from keras_stn.models.checks import is_count


class UpdateFrequency:
    """Tells after which batches of an epoch to write.

    It counts from the start of each epoch, so that a run that was interrupted
    writes at the same steps as one that was not.

    Args:
        argument: String, what the callback calls its argument.
        value: `"epoch"` for no batch at all, `"batch"` for every one, or a
            positive integer N for every N-th. If several batches are executed
            at once, for those executions that pass another N-th.

    Raises:
        ValueError: If `value` is something else.
    """

    def __init__(self, argument, value):
        if not (value in ("epoch", "batch") or is_count(value, 1)):
            raise ValueError(
                f"`{argument}` must be 'epoch', 'batch' or a positive integer. "
                f"Received: {argument}={value!r}"
            )
        self._period = {"epoch": None, "batch": 1}.get(value, value)

    @property
    def is_epoch(self):
        return self._period is None

    def is_due(self, batch, steps_per_execution):
        """Whether to write after an execution.

        Args:
            batch: Integer, the index in the epoch of the last batch done.
            steps_per_execution: Integer, the batches of one execution.
        """
        if self._period is None:
            return False
        done = batch + 1
        return (
            done // self._period != (done - steps_per_execution) // self._period
        )
