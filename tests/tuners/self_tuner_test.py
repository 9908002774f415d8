import csv
import json
import math
import pathlib

import keras
import keras_tuner
import numpy as np
import pytest

import keras_stn as stn
from tests.tuners import builds


def search(build, folder, epochs=2, **kwargs):
    options = {"directory": folder, "overwrite": True, "seed": 1} | kwargs
    tuner = stn.SelfTuner(build, **options)
    data = builds.draw_data()
    tuner.search(
        *data,
        validation_data=data,
        batch_size=builds.BATCH,
        epochs=epochs,
        verbose=0,
    )
    return tuner


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """A search over learning rates and units with two networks."""
    folder = tmp_path_factory.mktemp("search")
    return search(builds.with_learning_rate, folder, epochs=3, max_trials=2)


def files_of(tuner, trial):
    return pathlib.Path(tuner.get_trial_dir(trial.trial_id))


def read_schedule(tuner, trial):
    with open(files_of(tuner, trial) / "schedule.csv") as file:
        return [*csv.DictReader(file)]


def test_one_training_does_where_everything_is_tuned(tmp_path):
    tuner = search(builds.with_dropout, tmp_path)
    (trial,) = tuner.oracle.get_best_trials(9)
    assert trial.status == "COMPLETED"
    assert tuner.oracle.get_space().space == []
    (best,) = tuner.get_best_hyperparameters(1)
    assert 0 < best.get("dropout") < 0.9
    assert best.get("dropout") != pytest.approx(0.2), "it has not moved"


def test_what_is_left_is_searched(searched):
    space = [one.name for one in searched.oracle.get_space().space]
    assert space == ["learning_rate", "units"]
    trials = searched.oracle.get_best_trials(9)
    rates = {trial.hyperparameters.get("learning_rate") for trial in trials}
    assert len(rates) == len(trials) == 2


def test_best_hyperparameters_hold_all_values_of_the_best_epoch(searched):
    best = searched.get_best_hyperparameters(1)[0]
    assert {*best.values} == {"dropout", "learning_rate", "units"}
    assert {one.name for one in best.space} == {*best.values}
    trial = searched.oracle.get_best_trials(1)[0]
    rows = {
        int(row["epoch"]): row for row in read_schedule(searched, trial)[1:]
    }
    losses = [float(row["val_loss"]) for row in rows.values()]
    row = rows[int(np.argmin(losses))]
    assert best.get("dropout") == pytest.approx(float(row["dropout"]))
    assert trial.score == pytest.approx(min(losses), rel=1e-6)


def test_best_hyperparameters_build_the_network_with_these_values(searched):
    best = searched.get_best_hyperparameters(1)[0]
    model = searched.hypermodel.build(best)
    rate = next(
        layer.rate
        for layer in model.layers
        if isinstance(layer, keras.layers.Dropout)
    )
    assert rate == best.get("dropout")


def test_best_models_are_ordinary_and_predict_as_they_did(searched):
    x, y = builds.draw_data()
    models = searched.get_best_models(2)
    tuned = searched.get_best_self_tuning_models(2)
    trials = searched.oracle.get_best_trials(2)
    for model, itself, trial in zip(models, tuned, trials):
        assert type(model) is keras.Sequential
        assert isinstance(itself, stn.SelfTuningModel)
        np.testing.assert_allclose(
            model.predict(x, verbose=0),
            itself.predict(x, verbose=0),
            atol=1e-6,
        )
        logs = model.evaluate(x, y, verbose=0, return_dict=True)
        assert logs["loss"] == pytest.approx(trial.score, rel=1e-5)


def test_the_objective_of_each_epoch_is_among_the_metrics(searched):
    for trial in searched.oracle.get_best_trials(2):
        history = trial.metrics.get_history("val_loss")
        steps = [observation.step for observation in history]
        assert steps == [0, 1, 2]
        rows = read_schedule(searched, trial)[1:]
        for observation, row in zip(history, rows):
            expected = pytest.approx(float(row["val_loss"]), rel=1e-6)
            assert observation.mean() == expected
        assert trial.metrics.exists("dropout")


def test_a_trial_leaves_a_schedule_and_a_picture_and_no_checkpoint(searched):
    for trial in searched.oracle.get_best_trials(2):
        names = {path.name for path in files_of(searched, trial).iterdir()}
        assert names == {
            "build_config.json",
            "checkpoint.weights.h5",
            "hyperparameters.json",
            "schedule.csv",
            "schedule.png",
            "trial.json",
        }


def test_summaries_say_what_is_tuned_and_to_what(searched, capsys):
    searched.search_space_summary()
    text = capsys.readouterr().out
    assert "Tuned during training: dropout (0 to 0.9)" in text
    assert "learning_rate (Float)" in text
    searched.results_summary()
    best = searched.get_best_hyperparameters(1)[0]
    assert f"dropout: {best.get('dropout')}" in capsys.readouterr().out


def test_a_search_that_was_completed_is_found_again(searched, capsys):
    again = stn.SelfTuner(
        builds.with_learning_rate,
        max_trials=2,
        directory=searched.directory,
        seed=1,
    )
    assert (
        again.get_best_hyperparameters(1)[0].values
        == searched.get_best_hyperparameters(1)[0].values
    )
    again.search_space_summary()
    assert "Tuned during training: dropout" in capsys.readouterr().out
    assert again.remaining_trials == 0


@pytest.mark.parametrize("tuner", ["random", "bayesian", "grid"])
def test_scopes_are_searched_and_their_values_tuned(tuner, tmp_path):
    if tuner == "bayesian":
        pytest.importorskip("sklearn")
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
        end = read_schedule(found, earlier)[-1]
        start = read_schedule(found, trial)[0]
        assert float(start["dropout"]) == pytest.approx(
            found._record(earlier.trial_id).read()["values"]["dropout"]
        )
        assert int(end["epoch"]) >= 0


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
    assert best.get("dropout") == 0.2 if "dropout" in best else True
    assert found._space.tuned == {}


def test_executions_of_a_trial_are_averaged(tmp_path):
    found = search(builds.with_dropout, tmp_path, executions_per_trial=2)
    (trial,) = found.oracle.get_best_trials(1)
    assert math.isfinite(trial.score)
    assert "dropout" in found.get_best_hyperparameters()[0]
    found.get_best_models()


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


def test_the_oracle_s_space_stays_free_of_what_is_tuned_when_saved(searched):
    with open(pathlib.Path(searched.project_dir) / "oracle.json") as file:
        space = json.load(file)["hyperparameters"]["space"]
    names = {one["config"]["name"] for one in space}
    assert names == {"learning_rate", "units"}
