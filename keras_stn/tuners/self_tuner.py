import copy
import json
import warnings

import keras_tuner
from keras.src.utils import io_utils
from keras_tuner.engine.tuner import maybe_distribute

from keras_stn.conversion.compile_arguments import renewed
from keras_stn.models.self_tuning_model import SelfTuningModel
from keras_stn.tuners import checks
from keras_stn.tuners.oracles import make_oracle
from keras_stn.tuners.search_space import SearchSpace
from keras_stn.tuners.tuned_trials import TunedTrials


class SelfTuner(TunedTrials, keras_tuner.Tuner):
    """A KerasTuner tuner whose trials tune their own regularization.

    Give it the function that you gave `keras_tuner.RandomSearch`. Those
    values of `hp.Float` and `hp.Int` that arrive, as they are, in an argument
    that training can tune (a rate of dropout, a strength of noise or
    augmentation, an L1 or L2 penalty) are tuned while the network trains,
    within the range that `hp` declares, from its `default`, or without one
    from a quarter of the range. All else, such as the learning rate or the
    number of units, is searched as KerasTuner does. If nothing else is left,
    one trial is all it takes.

    Which values arrive where is found by building the model with several
    values and comparing the configurations, so the function need not change.
    What was found is printed, and for each `hp.Float` that is left to the
    search, why.

    The trial's folder holds the schedule of what was tuned, `schedule.csv`,
    and a picture of it, `schedule.png`, if matplotlib is installed. A search
    that was interrupted goes on in the middle of its trial.

    Args:
        hypermodel: A function from `hp` to a compiled Keras model, or a
            `keras_tuner.HyperModel`. Functional and sequential models are
            converted by `SelfTuningModel.from_keras`; a `SelfTuningModel`
            stays as it is.
        objective: As in `keras_tuner.RandomSearch`.
        oracle: A `keras_tuner.Oracle`, to search by what is not tuned in
            training; with its own `objective` and `max_trials`. If `None`,
            `tuner` names one.
        max_trials: Integer, how many networks to train at most. Each draws
            what is not tuned in training.
        tuner: `"random"`, `"bayesian"`, `"hyperband"` or `"grid"`: how to
            search what is not tuned in training.
        tunable: List of names to tune in training, or `None` for all that
            can be. A value declared by `hp.Fixed` is never tuned.
        hyper_optimizer: As in `SelfTuningModel.compile`; each trial gets a
            new one like it.
        response: As in `SelfTuningModel.from_keras`.
        train_steps: As in `SelfTuningModel`.
        tuning_steps: As in `SelfTuningModel`.
        groups: As in `SelfTuningModel`.
        entropy_weight: As in `SelfTuningModel`.
        tune_scales: As in `SelfTuningModel`.
        preset: As in `SelfTuningModel`.
        seed: Integer, the seed of the search. If given, each trial also sets
            Keras's random seed, by it and its own number.
        hyperparameters: As in `keras_tuner.RandomSearch`.
        tune_new_entries: As in `keras_tuner.RandomSearch`.
        allow_new_entries: As in `keras_tuner.RandomSearch`.
        max_retries_per_trial: As in `keras_tuner.RandomSearch`.
        max_consecutive_failed_trials: As in `keras_tuner.RandomSearch`.
        **kwargs: Further arguments of the oracle that `tuner` names, such as
            Hyperband's `max_epochs`, and of `keras_tuner.Tuner`, such as
            `directory`, `project_name`, `overwrite`,
            `distribution_strategy`.

    Raises:
        ValueError: If `tuner` is unknown, the function returns no compiled
            model, or `tunable` names what training cannot tune.

    Example:

    >>> import keras
    >>> import numpy as np
    >>> import keras_stn as stn
    >>> def build(hp):
    ...     model = keras.Sequential([
    ...         keras.Input((8,)),
    ...         keras.layers.Dense(16, activation="relu"),
    ...         keras.layers.Dropout(hp.Float("dropout", 0.0, 0.9)),
    ...         keras.layers.Dense(1),
    ...     ])
    ...     model.compile("adam", loss="mse")
    ...     return model
    >>> tuner = stn.SelfTuner(build, directory="search")
    Tuned during training: dropout (0 to 0.9)
    >>> x, y = np.ones((64, 8)), np.ones((64, 1))
    >>> tuner.search(x, y, validation_data=(x, y), epochs=2, verbose=0)
    >>> best = tuner.get_best_hyperparameters()[0]
    >>> 0 < best.get("dropout") < 0.9
    True
    >>> model = tuner.get_best_models()[0]
    >>> model.predict(x, verbose=0).shape
    (64, 1)

    Reference:
        [MacKay et al., 2019](https://arxiv.org/abs/1903.03088)
    """

    def __init__(
        self,
        hypermodel=None,
        objective="val_loss",
        oracle=None,
        max_trials=1,
        tuner="random",
        tunable=None,
        hyper_optimizer=None,
        response=None,
        train_steps=2,
        tuning_steps=1,
        groups=8,
        entropy_weight=1e-3,
        tune_scales=True,
        preset="auto",
        seed=None,
        hyperparameters=None,
        tune_new_entries=True,
        allow_new_entries=True,
        max_retries_per_trial=0,
        max_consecutive_failed_trials=3,
        **kwargs,
    ):
        if oracle is None:
            failed = max_consecutive_failed_trials
            oracle = make_oracle(
                tuner,
                kwargs,
                objective=objective,
                max_trials=max_trials,
                seed=seed,
                hyperparameters=hyperparameters,
                tune_new_entries=tune_new_entries,
                allow_new_entries=allow_new_entries,
                max_retries_per_trial=max_retries_per_trial,
                max_consecutive_failed_trials=failed,
            )
        self.seed = seed
        self.hyper_optimizer = hyper_optimizer
        self.response = response
        self.model_arguments = {
            "train_steps": train_steps,
            "tuning_steps": tuning_steps,
            "groups": groups,
            "entropy_weight": entropy_weight,
            "tune_scales": tune_scales,
            "preset": preset,
        }
        self._is_compiled_here = bool(kwargs.get("loss"))
        self._space = SearchSpace(oracle, tunable)
        super().__init__(oracle=oracle, hypermodel=hypermodel, **kwargs)

    # What is searched.

    def _populate_initial_space(self):
        # KerasTuner builds the model once for each condition of the space;
        # what training can tune is kept from the oracle each time.
        given = self.hypermodel
        self.hypermodel = keras_tuner.HyperModel()
        self.hypermodel.declare_hyperparameters = given.declare_hyperparameters
        self.hypermodel.build = lambda hp: self._find(given, hp)
        try:
            super()._populate_initial_space()
        finally:
            self.hypermodel = given
        self._space.decide()
        if not self._is_worker():
            io_utils.print_msg(self._space.describe())

    def _find(self, hypermodel, hp):
        """Builds a model, and keeps what training can tune from `hp`."""
        is_left_open = self._is_compiled_here or checks.has_own_fit(hypermodel)

        def build(hp):
            model = hypermodel.build(hp)
            checks.check_model(model, must_be_compiled=not is_left_open)
            return model

        return self._space.find(build, hp)

    def search_space_summary(self, extended=False):
        super().search_space_summary(extended)
        print(self._space.describe())

    def get_state(self):
        return {**super().get_state(), "space": self._space.get_state()}

    def set_state(self, state):
        super().set_state(state)
        self._space.set_state(state["space"])

    # A search and its trials.

    def search(self, *fit_args, **fit_kwargs):
        """Trains networks that tune themselves; call it as `fit`.

        Args:
            *fit_args: As in `SelfTuningModel.fit`.
            **fit_kwargs: As in `SelfTuningModel.fit`. What is tuned during
                training is tuned on `validation_data`.

        Raises:
            ValueError: If there are no validation data, the objective is not
                among the logs, or nothing is left for Hyperband.
            RuntimeError: If no trial could be completed.
        """
        if self._space.tuned and not checks.has_own_fit(self.hypermodel):
            checks.check_validation(fit_kwargs)
        if not self._is_worker():
            checks.check_rest(self.oracle)
        return super().search(*fit_args, **fit_kwargs)

    def _build_hypermodel(self, hp):
        with maybe_distribute(self.distribution_strategy):
            self._found = self._find(self.hypermodel, hp)
            self._compile(self._found.model)
            model = self._to_self_tuning(self._found)
        if "tuner/trial_id" in hp.values:
            # Hyperband goes on with the network of an earlier trial.
            self._restore(model, hp.values["tuner/trial_id"])
        return model

    def _compile(self, model):
        if model.compiled:
            self._override_compile_args(model)
        elif self.loss:
            # Of a model that is not compiled KerasTuner asks the optimizer.
            model.compile(
                renewed(self.optimizer or "rmsprop"),
                loss=self.loss,
                metrics=self.metrics,
            )

    def _to_self_tuning(self, found):
        if not found.tuned:
            return found.model
        return SelfTuningModel.from_keras(
            found.model,
            tune=[*found.ranges],
            ranges=found.ranges,
            response=self.response,
            hyper_optimizer=renewed(self.hyper_optimizer),
            verbose=False,
            **self.model_arguments,
        )

    def on_search_end(self):
        super().on_search_end()
        if self._is_worker():
            return
        checks.check_completed(self.oracle.get_best_trials())

    # What came of it.

    def _with_tuned(self, trial):
        """A trial whose hyperparameters hold what training tuned as well."""
        trial = copy.copy(trial)
        record = self._record(trial.trial_id)
        trial.hyperparameters = record.add_to(trial.hyperparameters)
        return trial

    def get_best_hyperparameters(self, num_trials=1):
        """The hyperparameters of the best trials, the best first.

        What was tuned during training has the value of the best epoch, that
        of the network which `get_best_models` returns.

        Args:
            num_trials: Integer, how many.

        Returns:
            List of `keras_tuner.HyperParameters`.
        """
        trials = self.oracle.get_best_trials(num_trials)
        return [self._with_tuned(trial).hyperparameters for trial in trials]

    def results_summary(self, num_trials=10):
        """Prints the best trials, with the values that training tuned.

        Args:
            num_trials: Integer, how many.
        """
        print("Results summary")
        print(f"Results in {self.project_dir}")
        print(f"Showing {num_trials} best trials")
        print(f"{self.oracle.objective}")
        for trial in self.oracle.get_best_trials(num_trials):
            print()
            self._with_tuned(trial).summary()

    def _restore(self, model, trial_id):
        """Gives a model the weights of a trial's best epoch."""
        if not model.built:
            with open(self._get_build_config_fname(trial_id)) as file:
                model.build_from_config(json.load(file))
        with warnings.catch_warnings():
            # Optimizers start anew.
            warnings.filterwarnings("ignore", "Skipping variable loading")
            model.load_weights(self._get_checkpoint_fname(trial_id))

    def load_model(self, trial):
        model = self._try_build(trial.hyperparameters)
        with maybe_distribute(self.distribution_strategy):
            self._restore(model, trial.trial_id)
        return model

    def get_best_models(self, num_models=1):
        """The networks of the best trials at their best epoch, the best first.

        Networks that tuned themselves come as ordinary Keras models, with
        what they had come to: see `SelfTuningModel.to_keras`.

        Args:
            num_models: Integer, how many.

        Returns:
            List of `keras.Model`, compiled.
        """
        return [
            model.to_keras() if isinstance(model, SelfTuningModel) else model
            for model in self.get_best_self_tuning_models(num_models)
        ]

    def get_best_self_tuning_models(self, num_models=1):
        """The same networks as they were trained, to go on tuning them.

        Args:
            num_models: Integer, how many.

        Returns:
            List of `SelfTuningModel`; of `keras.Model` where nothing was
            tuned.
        """
        return super().get_best_models(num_models)
