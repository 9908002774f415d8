import sys

import keras
import keras_tuner
import numpy as np
import pytest

import keras_stn as stn
from tests.tuners import builds


def make(build, folder, **kwargs):
    return stn.SelfTuner(build, directory=folder, **kwargs)


def run(tuner, **kwargs):
    x, y = builds.draw_data()
    options = {"validation_data": (x, y), "epochs": 2, "verbose": 0}
    tuner.search(x, y, batch_size=builds.BATCH, **(options | kwargs))


def test_a_function_must_return_a_model(tmp_path):
    with pytest.raises(TypeError, match="Add `return model`.* Received: None"):
        make(lambda hp: None, tmp_path)


def test_a_function_must_return_a_compiled_model(tmp_path):
    def build(hp):
        rate = hp.Float("dropout", 0.0, 0.9)
        return keras.Sequential([keras.Input((8,)), keras.layers.Dropout(rate)])

    with pytest.raises(ValueError, match="not compiled"):
        make(build, tmp_path)


def test_the_tuner_may_compile_the_model(tmp_path):
    def build(hp):
        rate = hp.Float("dropout", 0.0, 0.9, default=0.2)
        return keras.Sequential(
            [
                keras.Input((8,)),
                keras.layers.Dense(4),
                keras.layers.Dropout(rate),
                keras.layers.Dense(3),
            ]
        )

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    tuner = make(build, tmp_path, optimizer="adam", loss=loss)
    run(tuner)
    assert "dropout" in tuner.get_best_hyperparameters()[0]


def test_the_objective_must_be_among_the_logs(tmp_path):
    tuner = make(
        builds.with_dropout,
        tmp_path,
        objective=keras_tuner.Objective("val_f1", "max"),
    )
    with pytest.raises(ValueError, match="There are: .*val_loss.*'val_f1'"):
        run(tuner)


def test_there_must_be_validation_data(tmp_path):
    tuner = make(builds.with_dropout, tmp_path)
    with pytest.raises(ValueError, match="`validation_data=.x_val, y_val.`"):
        run(tuner, validation_data=None)


def test_the_kind_of_search_must_be_known(tmp_path):
    with pytest.raises(ValueError, match="'bayesian'.*tuner='genetic'"):
        make(builds.with_dropout, tmp_path, tuner="genetic")


def test_hyperband_needs_something_to_search(tmp_path):
    tuner = make(builds.with_dropout, tmp_path, tuner="hyperband")
    with pytest.raises(ValueError, match="nothing is left for Hyperband"):
        run(tuner)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("learning_rate", "not to how it is trained"),
        ("units", "`units` of"),
        ("hue", "is no `hp.Float`"),
    ],
)
def test_what_cannot_be_tuned_must_not_be_in_tunable(tmp_path, name, why):
    with pytest.raises(ValueError, match=f"'{name}', which .*{why}"):
        make(builds.with_learning_rate, tmp_path, tunable=[name])


def test_tunable_must_be_a_list(tmp_path):
    with pytest.raises(ValueError, match="list of names"):
        make(builds.with_dropout, tmp_path, tunable="dropout")


def test_a_trial_whose_loss_becomes_nan_fails_and_others_do_not(tmp_path):
    def build(hp):
        rate = hp.Float("dropout", 0.0, 0.9, default=0.2)
        optimizer = hp.Choice("optimizer", ["good", "bad"])
        learning_rate = 1e-2 if optimizer == "good" else float("nan")
        return builds.dense(
            keras.layers.Dropout(rate),
            optimizer=keras.optimizers.SGD(learning_rate),
        )

    tuner = make(build, tmp_path, tuner="grid", max_trials=2)
    run(tuner, epochs=3)
    good, bad = tuner.oracle.get_best_trials(2)
    assert good.status == "COMPLETED" and np.isfinite(good.score)
    assert bad.status == "FAILED"
    assert "became NaN in epoch 1" in bad.message
    assert tuner.get_best_hyperparameters()[0].get("optimizer") == "good"


@pytest.mark.filterwarnings("ignore:In epoch 3, . tuning steps")
@pytest.mark.slow
def test_the_epochs_before_a_nan_count(tmp_path, capsys):
    class Spoil(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                self.model.optimizer.learning_rate = float("nan")

    tuner = make(builds.with_dropout, tmp_path)
    run(tuner, epochs=4, callbacks=[Spoil()])
    (trial,) = tuner.oracle.get_best_trials(1)
    assert trial.status == "COMPLETED" and np.isfinite(trial.score)
    assert "became NaN in epoch 3" in capsys.readouterr().out
    model = tuner.get_best_models()[0]
    assert all(np.isfinite(value).all() for value in model.get_weights())


def test_a_search_in_which_every_trial_failed_says_why(tmp_path):
    class Fail(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            raise RuntimeError("out of memory")

    tuner = make(builds.with_dropout, tmp_path)
    with pytest.raises(RuntimeError, match="(?s)No trial.*out of memory"):
        run(tuner, callbacks=[Fail()])


def test_without_kerastuner_the_message_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "keras_tuner", None)
    monkeypatch.delitem(
        sys.modules, "keras_stn.tuners.self_tuner", raising=False
    )
    with pytest.raises(ImportError, match=r"keras_stn\[tuner\]"):
        _ = stn.SelfTuner
