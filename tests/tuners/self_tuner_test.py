import math

import keras
import keras_tuner
import pytest

import keras_stn as stn
from tests.tuners import builds
from tests.tuners.builds import read_schedule
from tests.tuners.builds import search


def test_one_training_does_where_everything_is_tuned(tmp_path):
    tuner = search(builds.with_dropout, tmp_path)
    (trial,) = tuner.oracle.get_best_trials(9)
    assert trial.status == "COMPLETED"
    assert tuner.oracle.get_space().space == []
    (best,) = tuner.get_best_hyperparameters(1)
    assert 0 < best.get("dropout") < 0.9
    assert best.get("dropout") != pytest.approx(0.2), "it has not moved"


@pytest.mark.parametrize("verbose", [0, 2])
def test_a_trial_says_what_it_did_unless_it_is_silent(
    tmp_path, capsys, verbose
):
    search(builds.with_dropout, tmp_path, verbose=verbose)
    lines = capsys.readouterr().out.splitlines()
    tables = [line for line in lines if line.startswith("hyperparameter ")]
    assert len(tables) == (1 if verbose else 0)


@pytest.mark.parametrize(
    "tuner",
    [
        pytest.param("random", marks=pytest.mark.slow),
        pytest.param("bayesian", marks=pytest.mark.slow),
        "grid",
    ],
)
def test_scopes_are_searched_and_their_values_tuned(tuner, tmp_path):
    found = search(
        builds.with_scopes, tmp_path, epochs=1, tuner=tuner, max_trials=4
    )
    assert [one.name for one in found.oracle.get_space().space] == ["kind"]
    kinds = set()
    for hp in found.get_best_hyperparameters(9):
        kinds.add(hp.get("kind"))
        own = "rate" if hp.get("kind") == "dropout" else "deviation"
        assert {*hp.values} == {"kind", own, "head/rate"}
    assert kinds == {"dropout", "noise"}


@pytest.mark.slow
def test_hyperband_goes_on_with_the_networks_of_earlier_rounds(tmp_path):
    found = search(
        builds.with_learning_rate, tmp_path, tuner="hyperband", max_epochs=3
    )
    trials = {trial.trial_id: trial for trial in found.oracle.trials.values()}
    continued = [
        trial
        for trial in trials.values()
        if "tuner/trial_id" in trial.hyperparameters.values
    ]
    assert continued
    for trial in continued:
        earlier = trials[trial.hyperparameters.get("tuner/trial_id")]
        start = read_schedule(found, trial)[0]
        assert float(start["dropout"]) == pytest.approx(
            found._record(earlier.trial_id).read()["values"]["dropout"]
        )
        assert float(start["dropout"]) != 0.2, "it began anew"


@pytest.mark.slow
def test_a_hypermodel_with_its_own_fit_keeps_it(tmp_path):
    class Own(keras_tuner.HyperModel):
        def build(self, hp):
            return builds.with_dropout(hp)

        def fit(self, hp, model, *args, **kwargs):
            assert hp.get("dropout") == 0.2
            kwargs["batch_size"] = hp.Choice("batch_size", [8, 16])
            return model.fit(*args, **kwargs)

    found = search(Own(), tmp_path, max_trials=2)
    for hp in found.get_best_hyperparameters(2):
        assert {*hp.values} == {"batch_size", "dropout"}
    space = [one.name for one in found.oracle.get_space().space]
    assert space == ["batch_size"]


@pytest.mark.slow
def test_values_that_come_with_others_are_tuned_as_well(tmp_path):
    def build(hp):
        layers = []
        for i in range(hp.Int("layers", 1, 3)):
            layers.append(keras.layers.Dense(4))
            rate = hp.Float(f"dropout_{i}", 0.0, 0.5, default=0.1)
            layers.append(keras.layers.Dropout(rate))
        return builds.dense(*layers)

    found = search(build, tmp_path, epochs=1, tuner="grid", max_trials=2)
    for hp in found.get_best_hyperparameters(3):
        expected = {f"dropout_{i}" for i in range(hp.get("layers"))}
        assert {*hp.values} == {"layers", *expected}
    assert [one.name for one in found.oracle.get_space().space] == ["layers"]


def test_without_anything_to_tune_networks_are_trained_all_the_same(
    tmp_path, capsys
):
    found = search(builds.without_tunable, tmp_path, max_trials=2)
    assert "Tuned during training: nothing" in capsys.readouterr().out
    assert len(found.oracle.get_best_trials(9)) == 2
    assert type(found.get_best_models()[0]) is keras.Sequential


@pytest.mark.slow
def test_a_self_tuning_model_stays_as_it_is(tmp_path):
    def build(hp):
        rate = stn.Float("dropout", 0.0, 0.9, default=0.1)
        network = keras.Sequential([
            keras.Input((8,)),
            stn.layers.HyperDense(hp.Int("units", 2, 4), activation="relu"),
            stn.layers.Dropout(rate),
            stn.layers.HyperDense(3),
        ])  # fmt: skip
        model = stn.SelfTuningModel(network)
        model.compile(
            "adam",
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        return model

    found = search(build, tmp_path)
    record = found._record(found.oracle.get_best_trials(1)[0].trial_id).read()
    assert "dropout" in record["values"]
    assert type(found.get_best_models()[0]) is keras.Sequential


def test_hyperparameters_declared_beforehand_go_first(tmp_path):
    hp = keras_tuner.HyperParameters()
    hp.Float("dropout", 0.1, 0.3, default=0.15)
    hp.Fixed("units", 5)
    found = search(builds.with_learning_rate, tmp_path, hyperparameters=hp)
    best = found.get_best_hyperparameters(1)[0]
    assert 0.1 < best.get("dropout") < 0.3
    assert best.get("units") == 5


def test_fixed_values_and_those_not_in_tunable_are_not_tuned(tmp_path):
    hp = keras_tuner.HyperParameters()
    hp.Fixed("dropout", 0.3)
    found = search(builds.with_learning_rate, tmp_path, hyperparameters=hp)
    assert found.get_best_hyperparameters(1)[0].get("dropout") == 0.3

    found = search(builds.with_learning_rate, tmp_path, tunable=[])
    space = [one.name for one in found.oracle.get_space().space]
    assert "dropout" in space


def test_only_what_was_declared_beforehand_is_tuned_if_so_asked(tmp_path):
    hp = keras_tuner.HyperParameters()
    hp.Float("learning_rate", 1e-3, 1e-2)
    found = search(
        builds.with_learning_rate,
        tmp_path,
        hyperparameters=hp,
        tune_new_entries=False,
    )
    best = found.get_best_hyperparameters(1)[0]
    assert 1e-3 <= best.get("learning_rate") <= 1e-2
    assert best.get("dropout") == 0.2
    assert found._space.tuned == {}


@pytest.mark.slow
def test_executions_of_a_trial_are_averaged(tmp_path):
    found = search(builds.with_dropout, tmp_path, executions_per_trial=2)
    (trial,) = found.oracle.get_best_trials(1)
    assert math.isfinite(trial.score)
    assert "dropout" in found.get_best_hyperparameters()[0]
    found.get_best_models()


@pytest.mark.slow
def test_the_hyper_optimizer_is_like_the_given_one_and_new_each_time(tmp_path):
    seen = []

    class Own(keras_tuner.HyperModel):
        def build(self, hp):
            return builds.with_learning_rate(hp)

        def fit(self, hp, model, *args, **kwargs):
            seen.append(model.hyper_optimizer)
            return model.fit(*args, **kwargs)

    optimizer = keras.optimizers.SGD(0.25)
    search(Own(), tmp_path, max_trials=2, hyper_optimizer=optimizer)
    assert {type(one) for one in seen} == {keras.optimizers.SGD}
    assert {float(one.learning_rate) for one in seen} == {0.25}
    assert len({id(one) for one in (*seen, optimizer)}) == 3
