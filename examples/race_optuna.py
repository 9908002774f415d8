"""Optuna's search in the race of `compare_tuners.py`."""

import math

import keras
import optuna
from race_problems import MONITOR
from race_recorder import train


class Suggested:
    """Lets `build(hp)` take its values from a trial of Optuna.

    Args:
        trial: The `optuna.Trial`.
    """

    def __init__(self, trial):
        self.trial = trial

    def Float(self, name, low, high, default, sampling):  # noqa: N802
        is_log = sampling == "log"
        return self.trial.suggest_float(name, low, high, log=is_log)


class Pruning(keras.callbacks.Callback):
    """Tells Optuna every epoch, and stops a network that it gives up.

    Args:
        trial: The `optuna.Trial`.
    """

    def __init__(self, trial):
        super().__init__()
        self.trial = trial
        self.is_pruned = False

    def on_epoch_end(self, epoch, logs=None):
        self.trial.report(float(logs[MONITOR]), epoch)
        if self.trial.should_prune():
            self.is_pruned = self.model.stop_training = True


def search(method, problem, recorder, data, seed, folder):
    """Runs Optuna's TPE with median pruning, with the same arguments."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    states = optuna.trial.TrialState
    storage = optuna.storages.journal
    study = optuna.create_study(
        study_name=method,
        storage=optuna.storages.JournalStorage(
            storage.JournalFileBackend(str(folder / f"{method}-{seed}.log"))
        ),
        pruner=optuna.pruners.MedianPruner(
            n_startup_trials=5, n_warmup_steps=10
        ),
        load_if_exists=True,
    )
    # A search that goes on must not draw again what it began with.
    study.sampler = optuna.samplers.TPESampler(
        seed=seed + 1000 * len(study.trials)
    )
    for trial in study.get_trials(states=(states.RUNNING,)):
        # What was interrupted is trained again.
        study.tell(trial.number, state=states.FAIL)
        study.enqueue_trial(trial.params)
    while not recorder.clock.is_over:
        keras.utils.clear_session()
        trial = study.ask()
        model = problem.build(Suggested(trial))
        pruning = Pruning(trial)
        history = train(
            model, trial.params, recorder, data, problem.epochs, [pruning]
        )
        if recorder.is_cut:
            break
        if pruning.is_pruned:
            study.tell(trial, state=states.PRUNED)
        else:
            best = min(history.history[MONITOR], default=math.nan)
            study.tell(trial, best)
