import importlib.util
import json
import math
import os
import zlib

import keras
from keras_tuner.engine.trial import TrialStatus

from keras_stn.callbacks.backup_and_restore import BackupAndRestore
from keras_stn.callbacks.schedule_logger import ScheduleLogger
from keras_stn.models.self_tuning_model import SelfTuningModel
from keras_stn.plotting import plot_schedule
from keras_stn.plotting.picture_file import PictureFile
from keras_stn.tuners import checks
from keras_stn.tuners.trial_record import PICTURE
from keras_stn.tuners.trial_record import SCHEDULE
from keras_stn.tuners.trial_record import TrialRecord

# Arguments of `SelfTuningModel.fit` that other models do not have.
OWN_FIT_ARGUMENTS = ("tuning_data", "warmup_epochs")


class TunedTrials:
    """Mixin of `SelfTuner`: a trial, and what is kept of it."""

    # The `TunedBuild` of the trial, and what its trainings returned.
    _found = None
    _results = None

    def _record(self, trial_id):
        return TrialRecord(self.get_trial_dir(trial_id))

    def on_trial_begin(self, trial):
        super().on_trial_begin(trial)
        # Or a search that is killed in its first trial would not be found.
        self.save()
        self._record(trial.trial_id).begin()

    def run_trial(self, trial, *args, **kwargs):
        values = trial.hyperparameters.values
        if "tuner/epochs" in values:
            kwargs["epochs"] = values["tuner/epochs"]
            kwargs["initial_epoch"] = values["tuner/initial_epoch"]
        if self.seed is not None:
            # The same wherever and whenever the trial is run.
            text = f"{self.seed} {trial.trial_id}"
            keras.utils.set_random_seed(zlib.crc32(text.encode()))
        self._results = super().run_trial(trial, *args, **kwargs)
        return self._results

    def _build_and_fit_model(self, trial, *args, **kwargs):
        model = self._try_build(trial.hyperparameters)
        if isinstance(model, SelfTuningModel):
            self._add_callbacks(kwargs["callbacks"], trial)
        else:
            for name in OWN_FIT_ARGUMENTS:
                kwargs.pop(name, None)
        hp = self._found.hyperparameters
        results = self.hypermodel.fit(hp, model, *args, **kwargs)
        # What `HyperModel.fit` asked for.
        self._found.register_rest(trial.hyperparameters)
        with open(self._get_build_config_fname(trial.trial_id), "w") as file:
            json.dump(model.get_build_config(), file)
        return results

    def _add_callbacks(self, callbacks, trial):
        record = self._record(trial.trial_id)
        if self.executions_per_trial > 1:
            # They would take each other's schedule for their own.
            return
        callbacks.append(ScheduleLogger(record.path(SCHEDULE)))
        if not any(isinstance(one, BackupAndRestore) for one in callbacks):
            callbacks.append(BackupAndRestore(record.backup))

    def on_epoch_end(self, trial, model, epoch, logs=None):
        super().on_epoch_end(trial, model, epoch, logs)
        objective, record = self.oracle.objective, self._record(trial.trial_id)
        checks.check_objective(objective, logs)
        if not objective.has_value(logs):
            return
        value, best = objective.get_value(logs), record.read().get("objective")
        if math.isnan(value) or math.isnan(logs.get("loss", value)):
            checks.check_nan(trial, epoch, best)
            model.stop_training = True
        elif best is None or objective.better_than(value, best):
            tuned = isinstance(model, SelfTuningModel)
            values = model.hyperparameter_values() if tuned else {}
            record.write(value, self._found.declarations, values)

    def on_trial_end(self, trial):
        record = self._record(trial.trial_id)
        is_completed = trial.status == TrialStatus.COMPLETED
        if is_completed:
            self._report_epochs(trial)
            draw(record)
        record.end(is_completed)
        super().on_trial_end(trial)

    def _report_epochs(self, trial):
        """Adds to the trial's metrics those of all its epochs."""
        if self.executions_per_trial > 1:
            # Whose mean is the trial's.
            return
        (result,) = self._results
        objective = self.oracle.objective
        history = getattr(result, "history", {})
        lengths = {len(values) for values in history.values()}
        if len(lengths) != 1 or not objective.has_value(history):
            # Not validated in every epoch, or in a way of its own.
            return
        for epoch, values in enumerate(zip(*history.values())):
            logs = dict(zip(history, values))
            logs.setdefault(objective.name, objective.get_value(logs))
            self.oracle.update_trial(trial.trial_id, logs, step=epoch)


def draw(record):
    """Draws the schedule of a trial, if there is one and matplotlib is."""
    if not os.path.exists(record.path(SCHEDULE)):
        return
    if importlib.util.find_spec("matplotlib") is None:
        return
    figure = plot_schedule(record.path(SCHEDULE))
    PictureFile(record.path(PICTURE)).show(figure)
