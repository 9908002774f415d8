import json
import pathlib

import keras
import numpy as np
import pytest

import keras_stn as stn
from tests.tuners import builds
from tests.tuners.builds import read_schedule
from tests.tuners.builds import search


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """A search over learning rates and units with two networks."""
    folder = tmp_path_factory.mktemp("search")
    return search(builds.with_learning_rate, folder, epochs=3, max_trials=2)


def files_of(tuner, trial):
    return pathlib.Path(tuner.get_trial_dir(trial.trial_id))


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


def test_the_oracle_s_space_stays_free_of_what_is_tuned_when_saved(searched):
    with open(pathlib.Path(searched.project_dir) / "oracle.json") as file:
        space = json.load(file)["hyperparameters"]["space"]
    names = {one["config"]["name"] for one in space}
    assert names == {"learning_rate", "units"}
