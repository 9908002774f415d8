"""When a callback writes during an epoch."""


class UpdateFrequency:
    """Tells after which batches of an epoch to write.

    It counts from the start of each epoch, so that a run that was interrupted
    writes at the same steps as one that was not.

    Args:
        update_freq: `"epoch"` for no batch at all, `"batch"` for every one,
            or a positive integer N for every N-th. If several batches are
            executed at once, for those after which another N were passed.

    Raises:
        ValueError: If it is something else.
    """

    def __init__(self, update_freq):
        is_number = isinstance(update_freq, int) and update_freq > 0
        if update_freq not in ("epoch", "batch") and not is_number:
            raise ValueError(
                "`update_freq` must be 'epoch', 'batch' or a positive "
                f"integer. Received: update_freq={update_freq!r}"
            )
        self._period = {"epoch": None, "batch": 1}.get(update_freq, update_freq)
        self._periods = 0

    @property
    def is_epoch(self):
        return self._period is None

    def begin_epoch(self):
        self._periods = 0

    def is_due(self, batch):
        """Whether to write after a batch.

        Args:
            batch: Integer, the index in the epoch of the batch just done.
        """
        if self._period is None:
            return False
        before, self._periods = self._periods, (batch + 1) // self._period
        return self._periods != before
