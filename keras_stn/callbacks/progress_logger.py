import math
import shutil
import sys
import textwrap

import keras
from keras import ops


class ProgressLogger(keras.callbacks.ProgbarLogger):
    """Keras's progress bar, with the hyperparameters below it.

    A `SelfTuningModel` uses it in place of Keras's own. The bar shows the
    losses and metrics. At the end of each epoch one paragraph, as wide as the
    terminal, shows the value of every hyperparameter, so that fifteen of them
    are as legible as one.
    """

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        space = self.model.hyperparameters
        self._names = space.names
        self._hidden = {*space.names, *(f"{n}_scale" for n in space.names)}

    def on_train_batch_end(self, batch, logs=None):
        super().on_train_batch_end(batch, self._shown(logs))

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, self._shown(logs))
        if self.verbose and logs:
            sys.stdout.write(self._paragraph(logs))
            sys.stdout.flush()

    def _shown(self, logs):
        return {
            name: value
            for name, value in (logs or {}).items()
            if name not in self._hidden and not self._is_idle(name, value)
        }

    def _is_idle(self, name, value):
        """Whether nothing has happened yet that the bar could tell."""
        if name == "tuning_loss":
            return math.isnan(float(value))
        return name == "skipped_tuning_steps" and not float(value)

    def _paragraph(self, logs):
        width = shutil.get_terminal_size().columns
        values = [
            f"{name}:\N{NO-BREAK SPACE}{to_text(logs[name])}"
            for name in self._names
        ]
        return (
            textwrap.fill(
                " - ".join(values),
                width,
                initial_indent="  ",
                subsequent_indent="  ",
                break_long_words=False,
                break_on_hyphens=False,
            ).replace("\N{NO-BREAK SPACE}", " ")
            + "\n"
        )


def to_text(value):
    """A number in four digits, whatever its size."""
    return f"{float(ops.convert_to_numpy(value)):.4g}"
