import math
import shutil

import keras
from keras import ops


class ProgressLogger(keras.callbacks.ProgbarLogger):
    """Keras's progress bar, with the hyperparameters below it.

    A `SelfTuningModel` uses it in place of Keras's own. The bar shows the
    losses and metrics. At the end of each epoch a table, as wide as the
    terminal, shows the value of every hyperparameter, so that fifteen of them
    are as legible as one.
    """

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        self._names = self.model.hyperparameters.names
        self._hidden = {
            "skipped_tuning_steps",
            *self._names,
            *(f"{name}_scale" for name in self._names),
        }
        self._knows_warmup = True

    def on_epoch_begin(self, epoch, logs=None):
        super().on_epoch_begin(epoch, logs)
        self._hidden.discard("tuning_loss")
        self._knows_warmup = False

    def on_train_batch_end(self, batch, logs=None):
        logs = logs or {}
        if not self._knows_warmup:
            # Once an epoch: to look at a value is to wait for the device.
            self._knows_warmup = True
            if math.isnan(to_number(logs.get("tuning_loss", 0))):
                self._hidden.add("tuning_loss")
        super().on_train_batch_end(batch, self._shown(logs))

    def on_epoch_end(self, epoch, logs=None):
        logs = logs or {}
        shown = self._shown(logs)
        skipped = to_number(logs.get("skipped_tuning_steps", 0))
        if skipped:
            shown["skipped_tuning_steps"] = skipped
        super().on_epoch_end(epoch, shown)
        if self.verbose:
            cells = [
                f"{name}: {to_number(logs[name]):.4g}"
                for name in self._names
                if name in logs
            ]
            print(to_table(cells, shutil.get_terminal_size().columns))

    def _shown(self, logs):
        return {k: v for k, v in logs.items() if k not in self._hidden}


def to_number(value):
    return float(ops.convert_to_numpy(value))


def to_table(cells, width):
    """Lays cells out in rows of equal columns.

    Args:
        cells: List of strings.
        width: Integer, the characters in a row.

    Returns:
        String.
    """
    column = 2 + max(map(len, cells), default=0)
    per_row = max(1, width // column)
    rows = [cells[i : i + per_row] for i in range(0, len(cells), per_row)]
    return "\n".join(
        "".join(f"  {cell:<{column - 2}}" for cell in row).rstrip()
        for row in rows
    )
