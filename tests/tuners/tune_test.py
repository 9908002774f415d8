import keras
import numpy as np
import pytest

import keras_stn as stn
from keras_stn.models.rate_plan import planned_rate
from tests.tuners import builds


def tune(model, **kwargs):
    data = builds.draw_data()
    options = {"validation_data": data, "epochs": 3, "verbose": 0}
    return stn.tune(model, *data, batch_size=builds.BATCH, **(options | kwargs))


def test_a_model_is_tuned_and_returns_to_its_best_epoch():
    model = builds.dense(keras.layers.Dropout(0.2, name="dropout"))
    before = [value.copy() for value in model.get_weights()]
    history = keras.callbacks.History()
    tuned = tune(model, epochs=12, callbacks=[history])
    assert isinstance(tuned, stn.SelfTuningModel)
    losses = history.history["val_loss"]
    best = int(np.argmin(losses))
    logs = tuned.evaluate(*builds.draw_data(), verbose=0, return_dict=True)
    assert logs["loss"] == pytest.approx(losses[best], rel=1e-5)
    value = tuned.hyperparameter_values()["dropout"]
    assert value == pytest.approx(history.history["dropout"][best], rel=1e-6)
    for one, other in zip(before, model.get_weights()):
        np.testing.assert_array_equal(one, other)


def test_training_ends_without_progress_if_so_asked():
    history = keras.callbacks.History()
    model = builds.dense(
        keras.layers.Dropout(0.2), optimizer=keras.optimizers.SGD(0.0)
    )
    tune(model, epochs=9, patience=2, callbacks=[history])
    assert len(history.history["val_loss"]) < 9


def test_a_function_without_arguments_is_called():
    def build():
        return builds.dense(keras.layers.Dropout(0.2, name="rate"))

    tuned = tune(build, epochs=1, ranges={"rate": (0.0, 0.3)})
    assert 0 < tuned.hyperparameter_values()["rate"] < 0.3


def test_a_function_of_hp_is_searched(tmp_path):
    tuned = tune(
        builds.with_learning_rate,
        epochs=1,
        max_trials=2,
        directory=tmp_path,
        seed=0,
    )
    assert isinstance(tuned, stn.SelfTuningModel)
    assert list(tuned.hyperparameter_values()) == ["dropout"]
    assert [*tmp_path.rglob("schedule.csv")]


@pytest.mark.slow
def test_a_search_leaves_no_files_without_a_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tune(builds.with_dropout, epochs=1)
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("steps", [1, 3])
def test_the_learning_rate_goes_by_the_length_of_the_training(steps):
    rates = []

    class Look(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            rates.append(float(self.model.hyper_optimizer.learning_rate))
            rates.append(float(self.model.scale_optimizer.learning_rate))
            self.model.stop_training = True

    model = builds.dense(keras.layers.Dropout(0.2))
    # 3 batches of 16 are 2 cycles of 2 weight updates and 1 tuning step.
    epochs = 250 * steps
    tune(model, epochs=epochs, callbacks=[Look()])
    # That of the middle of the first epoch.
    expected = planned_rate(2 * epochs, share=0.5 / epochs)
    np.testing.assert_allclose(rates, expected, rtol=1e-6)


def test_a_given_optimizer_keeps_its_learning_rate():
    model = builds.dense(keras.layers.Dropout(0.2))
    optimizer = keras.optimizers.SGD(0.5)
    tuned = tune(model, epochs=1, hyper_optimizer=optimizer)
    assert type(tuned.hyper_optimizer) is keras.optimizers.SGD
    assert float(tuned.hyper_optimizer.learning_rate) == 0.5


def test_bad_arguments_get_a_sentence(tmp_path):
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dropout(0.2)])
    with pytest.raises(ValueError, match="must be compiled"):
        tune(model)
    with pytest.raises(ValueError, match="function of `hp`"):
        tune(builds.dense(), directory=tmp_path)
    with pytest.raises(ValueError, match="Leave `ranges` out"):
        tune(builds.with_dropout, ranges={"dropout": (0, 1)})
    with pytest.raises(ValueError, match="Received: model=3"):
        tune(3)
    with pytest.raises(ValueError, match="no value to tune"):
        tune(builds.dense())
    with pytest.raises(ValueError, match="must be a Keras model"):
        tune(lambda: None)
