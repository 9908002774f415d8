import functools
import math
import os
import pathlib
import time
import types

import keras

from keras_stn import backend
from keras_stn.callbacks.progress_logger import to_number
from keras_stn.callbacks.schedule_logger import check_model
from keras_stn.callbacks.update_frequency import UpdateFrequency
from keras_stn.hyperparameters.int import Int
from keras_stn.schedules.state_reader import StateReader


class TensorBoardSchedule(keras.callbacks.Callback):
    """Shows the schedule of every hyperparameter in TensorBoard.

    Keras's own `TensorBoard` callback draws every entry of the logs, the
    hyperparameters among them, against the number of the epoch. This one
    groups them, draws them against the weight updates done, and adds their
    start, the entropy and a line in the table of TensorBoard's HParams page:

    - scalars `hyperparameters/NAME` and `scales/NAME`,
    - scalars `tuning_loss` and `entropy`,
    - on the HParams page a line for the run, with the starting values as
      hyperparameters and the latest values and tuning loss as metrics.

    Use both callbacks with one folder, and the HParams page has the
    validation loss as well. A resumed run goes on in its folder; give each
    new run a folder of its own. Where several workers train together, the
    first of them writes.

    It needs TensorBoard: `pip install 'keras_stn[logging]'`.

    Args:
        log_dir: String or `PathLike`, the folder of this run's event files.
        update_freq: `"epoch"`, `"batch"` or a positive integer N, when to
            write, beside the start and the end of each epoch: after every
            step of `fit`, or after every N-th of an epoch. A step of a
            `SelfTuningModel` is a cycle of `train_steps` weight updates.

    Raises:
        ImportError: If TensorBoard is not installed.
        ValueError: If `update_freq` is something else; from `fit`, if the
            model is no `SelfTuningModel`.

    Example:

    ```
    model.fit(
        x,
        y,
        validation_data=(x_val, y_val),
        epochs=50,
        callbacks=[
            keras.callbacks.TensorBoard("logs/first"),
            stn.callbacks.TensorBoardSchedule("logs/first", "batch"),
        ],
    )
    # Then run: tensorboard --logdir logs
    ```
    """

    def __init__(self, log_dir, update_freq="epoch"):
        super().__init__()
        import_tensorboard()
        self.log_dir = os.fspath(log_dir)
        self.update_freq = update_freq
        self._frequency = UpdateFrequency("update_freq", update_freq)
        self._writer = None
        # Keras need not wait for each batch to call what then does nothing.
        self.async_safe = self._frequency.is_epoch

    def on_train_begin(self, logs=None):
        check_model(self)
        self._read = StateReader(self.model)
        self._close()

    def on_epoch_begin(self, epoch, logs=None):
        is_chief = backend.is_chief(self.model.distribute_strategy)
        if self._writer is None and is_chief:
            # Not when training begins: another callback may restore weights
            # then.
            self._begin()

    def on_train_batch_end(self, batch, logs=None):
        if self._writer is None:
            return
        if self._frequency.is_due(batch, self.model.steps_per_execution):
            self._write(self._read(), logs or {})

    def on_epoch_end(self, epoch, logs=None):
        if self._writer is None:
            return
        state = self._read()
        if state["step"] != self._last_step:
            self._write(state, logs or {})
        self._writer.flush()

    def on_train_end(self, logs=None):
        if self._writer is not None:
            tensorboard = import_tensorboard()
            # TensorFlow's class of the message becomes TensorBoard's own.
            end = tensorboard.session_end_pb().SerializeToString()
            summary = tensorboard.Summary.FromString(end)
            self._add(self._last_step, summary=summary)
        self._close()
        self._read = None

    def _begin(self):
        state = self._read()
        step = state["step"]
        old = pathlib.Path(self.log_dir).glob("events.out.tfevents.*")
        is_new = step == 0 or not any(old)
        self._writer = import_tensorboard().EventFileWriter(self.log_dir)
        self._values = {}
        self._last_step = step
        # What a run before wrote of later steps is no longer shown.
        self._add(step + 1 if step else 0, restarts=True)
        if is_new:
            self._write_hparams(state)
            self._write(state, {})
            self._writer.flush()

    def _write_hparams(self, state):
        hparams = import_tensorboard().hparams
        declarations = self.model.hyperparameters.declarations
        config = hparams.hparams_config_pb(
            hparams=[
                hparams.HParam(h.name, domain(h, hparams)) for h in declarations
            ],
            metrics=[
                *(
                    hparams.Metric(f"hyperparameters/{h.name}")
                    for h in declarations
                ),
                hparams.Metric("tuning_loss"),
                # What Keras's callback writes into the same folder.
                hparams.Metric(
                    "epoch_loss", group="validation", display_name="val_loss"
                ),
            ],
        )
        self._add(state["step"], summary=config)
        values = {h.name: state[h.name] for h in declarations}
        # Two runs are two lines, even if they start alike.
        start = hparams.hparams_pb(values, trial_id=self.log_dir)
        self._add(state["step"], summary=start)

    def _write(self, state, logs):
        scalars = {
            "entropy": state["entropy"],
            "tuning_loss": to_number(logs.get("tuning_loss", math.nan)),
        }
        for name in self.model.hyperparameters.names:
            scalars[f"hyperparameters/{name}"] = state[name]
            scalars[f"scales/{name}"] = state[f"{name}_scale"]
        summary = import_tensorboard().Summary()
        for tag, number in scalars.items():
            # Before the first tuning step there is no loss to show.
            if not math.isnan(number):
                summary.value.append(self._to_value(tag, number))
        self._last_step = state["step"]
        self._add(self._last_step, summary=summary)

    def _to_value(self, tag, number):
        if tag not in self._values:
            # What `tf.summary.scalar` writes; to make it takes TensorBoard a
            # fifth of a millisecond, to change it next to nothing.
            pb = import_tensorboard().scalar_pb(tag, 0.0)
            self._values[tag] = pb.value[0]
        self._values[tag].tensor.float_val[0] = number
        return self._values[tag]

    def _add(self, step, summary=None, restarts=False):
        tensorboard = import_tensorboard()
        event = tensorboard.Event(
            wall_time=time.time(), step=step, summary=summary
        )
        if restarts:
            event.session_log.status = tensorboard.SessionLog.START
        self._writer.add_event(event)

    def _close(self):
        if self._writer is not None:
            self._writer.close()
        self._writer = None


def domain(hyperparameter, hparams):
    """The range as TensorBoard states it, or `None` where an end is open."""
    config = hyperparameter.get_config()
    ends = config["min_value"], config["max_value"]
    if None in ends:
        return None
    kind = hparams.RealInterval
    if isinstance(hyperparameter, Int):
        kind = hparams.IntInterval
    return kind(*ends)


@functools.cache
def import_tensorboard():
    """What is used of TensorBoard, imported late, since it takes long."""
    try:
        from tensorboard.compat.proto import event_pb2
        from tensorboard.compat.proto import summary_pb2
        from tensorboard.plugins.hparams import api
        from tensorboard.plugins.hparams import api_pb2
        from tensorboard.plugins.hparams import summary
        from tensorboard.plugins.scalar import summary_v2
        from tensorboard.summary.writer import event_file_writer
    except ImportError as error:
        raise ImportError(
            "`TensorBoardSchedule` needs TensorBoard. Install it with "
            f"`pip install 'keras_stn[logging]'`. The reason: {error}"
        ) from error
    return types.SimpleNamespace(
        Event=event_pb2.Event,
        SessionLog=event_pb2.SessionLog,
        Summary=summary_pb2.Summary,
        EventFileWriter=event_file_writer.EventFileWriter,
        scalar_pb=summary_v2.scalar_pb,
        hparams=api,
        session_end_pb=functools.partial(
            summary.session_end_pb, api_pb2.STATUS_SUCCESS
        ),
    )
