import os

import keras

from keras_stn import backend
from keras_stn.callbacks.checkpoint_folder import CheckpointFolder
from keras_stn.callbacks.worker_folder import WorkerFolder
from keras_stn.models.checks import is_count


class BackupAndRestore(keras.callbacks.Callback):
    """Lets a training that was interrupted go on where it was.

    While a `SelfTuningModel` trains, this callback saves checkpoints. When the
    process was killed, run the same script again: `fit` finds the checkpoint,
    goes on from there and ends with the weights, hyperparameters, scales,
    logs and schedule that it would have had without the interruption, bit for
    bit where the computations are (on CPUs they are). Keras's callback of the
    same name is for other models; it saves the weights and one optimizer.

    Everything the course of training depends on is restored: all variables of
    the model and of its three optimizers, seeds, metrics, the history, what
    other callbacks remember, and the place in the data. For that place the
    data are read again from the beginning, without training, so they must
    come in the same order: call `keras.utils.set_random_seed` at the beginning
    of the script. If they do not, a warning tells.

    Args:
        backup_dir: String or path of a folder, which is made if there is
            none. It belongs to one training; do not share it.
        save_freq: `"epoch"`, to save at the end of each epoch, or a positive
            integer: the number of steps (cycles, as the progress bar counts
            them) between checkpoints. With `steps_per_execution`, it is
            looked at after each execution.
        double_checkpoint: Boolean, whether to keep the checkpoint before the
            latest as well, which training resumes from if the latest cannot
            be read. Unlike in Keras it is the default; several workers keep
            it always.
        delete_checkpoint: Boolean, whether to delete the checkpoints when
            training has ended. If they are kept, running the script again
            trains no more and returns the same history.

    Raises:
        ValueError: If an argument is out of range, the model is no
            `SelfTuningModel`, the checkpoint is of another training, no
            checkpoint can be read, or several workers have none in common.
        OSError: When training begins, if the folder cannot be written to.

    Example:

    >>> import keras
    >>> import numpy as np
    >>> import keras_stn as stn
    >>> def train(*callbacks):
    ...     keras.utils.set_random_seed(0)
    ...     network = keras.Sequential([
    ...         keras.Input((8,)),
    ...         stn.layers.Dropout(stn.Float("dropout", 0.0, 0.9, default=0.1)),
    ...         stn.layers.HyperDense(1),
    ...     ])
    ...     model = stn.SelfTuningModel(network)
    ...     model.compile("sgd", loss="mse")
    ...     data = np.ones((64, 8)), np.ones((64, 1))
    ...     backup = stn.callbacks.BackupAndRestore("backup")
    ...     return model.fit(
    ...         *data,
    ...         validation_data=data,
    ...         epochs=5,
    ...         verbose=0,
    ...         callbacks=[backup, *callbacks],
    ...     )
    >>> class Crash(keras.callbacks.Callback):
    ...     def on_epoch_begin(self, epoch, logs=None):
    ...         if epoch == 3:
    ...             raise RuntimeError
    >>> try:
    ...     history = train(Crash())
    ... except RuntimeError:
    ...     history = train()  # Trains two more epochs.
    >>> len(history.history["dropout"])
    5
    """

    def __init__(
        self,
        backup_dir,
        save_freq="epoch",
        double_checkpoint=True,
        delete_checkpoint=True,
    ):
        super().__init__()
        if not backup_dir:
            raise ValueError(
                "`backup_dir` must name a folder for the checkpoints. "
                f"Received: backup_dir={backup_dir!r}"
            )
        if save_freq != "epoch" and not is_count(save_freq, 1):
            raise ValueError(
                "`save_freq` must be 'epoch' or a positive integer, the steps "
                "between checkpoints. "
                f"Received: save_freq={save_freq!r}"
            )
        self.backup_dir = os.fspath(backup_dir)
        self.save_freq = save_freq
        self.double_checkpoint = double_checkpoint
        self.delete_checkpoint = delete_checkpoint
        self.folder = CheckpointFolder(self.backup_dir, double_checkpoint)

    def set_model(self, model):
        super().set_model(model)
        strategy = model.distribute_strategy
        if backend.worker(strategy)[1] > 1:
            self.folder = WorkerFolder(self.backup_dir, strategy)

    # All else is in `ResumableCallbacks`, which holds the other callbacks:
    # what is saved must include what they have done at the end of a step.
    def on_train_begin(self, logs=None):
        if not hasattr(self.model, "hyperparameter_values"):
            raise ValueError(
                "`keras_stn.callbacks.BackupAndRestore` is for a "
                "`SelfTuningModel`. Use `keras.callbacks.BackupAndRestore` "
                f"for other models. Received: model={self.model!r}"
            )

    def finish(self):
        """Deletes the checkpoints, if they are not to be kept."""
        if self.delete_checkpoint:
            self.folder.delete()
