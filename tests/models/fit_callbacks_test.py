import keras
import numpy as np
import pytest
from keras import ops

import keras_stn as stn
from keras_stn.models.fit_callbacks import check_monitors

DATA = np.ones((8, 2)), np.ones((8, 1))


def make_model(**optimizers):
    network = keras.Sequential(
        [
            keras.Input((2,)),
            stn.layers.HyperDense(1),
            stn.layers.Dropout(stn.Float("rate", 0.0, 0.9, 0.2)),
        ]
    )
    model = stn.SelfTuningModel(network, train_steps=1)
    model.compile("sgd", loss="mse", run_eagerly=True, **optimizers)
    return model


def fit(model, **kwargs):
    return model.fit(
        *DATA, batch_size=4, validation_data=DATA, verbose=0, **kwargs
    )


class Steps(keras.callbacks.Callback):
    """Notes λ and s after every tuning step."""

    def on_train_begin(self, logs=None):
        self.locations, self.raw_scales = [], []

    def on_train_batch_end(self, batch, logs=None):
        space = self.model.hyperparameters
        self.locations.append(np.array(ops.convert_to_numpy(space.location)))
        self.raw_scales.append(np.array(ops.convert_to_numpy(space.raw_scale)))


def test_training_ends_at_the_averages_of_the_hyperparameters():
    sgd = keras.optimizers.SGD
    model = make_model(
        hyper_optimizer=sgd(5.0, use_ema=True, ema_momentum=0.5),
        scale_optimizer=sgd(500.0, use_ema=True, ema_momentum=0.25),
    )
    steps = Steps()
    fit(model, callbacks=[steps])
    first, last = steps.locations
    assert np.abs(first - last) > 1e-4
    average = 0.5 * first + 0.5 * last
    np.testing.assert_allclose(model.hyperparameters.location, average)
    first, last = steps.raw_scales
    assert np.abs(first - last) > 1e-4
    average = 0.25 * first + 0.75 * last
    np.testing.assert_allclose(model.hyperparameters.raw_scale, average)


def test_best_weights_come_back_instead_of_averages():
    optimizer = keras.optimizers.SGD(5.0, use_ema=True, ema_momentum=0.5)
    model = make_model(hyper_optimizer=optimizer)
    steps = Steps()
    best = keras.callbacks.EarlyStopping(
        "loss", restore_best_weights=True, min_delta=1e9
    )
    fit(model, callbacks=[steps, best])
    last = steps.locations[-1]
    np.testing.assert_array_equal(model.hyperparameters.location, last)


def test_a_callback_list_is_taken_as_it_is():
    model = make_model()
    history = keras.callbacks.History()
    callbacks = keras.callbacks.CallbackList([history], model=model)
    for fits in (1, 2):
        fit(model, callbacks=callbacks)
        assert len(history.history["tuning_loss"]) == fits
        assert len(model.tuning_report().rows) == 1
    assert len(callbacks.callbacks) == 5


def test_a_warmup_alone_leaves_no_average():
    model = make_model(hyper_optimizer=keras.optimizers.Adam(0.1, use_ema=True))
    before = model.hyperparameter_values()
    fit(model, warmup_epochs=1)
    assert model.hyperparameter_values() == before


@pytest.mark.parametrize(
    "name, arguments",
    [
        ("EarlyStopping", dict(start_from_epoch=1)),
        ("ReduceLROnPlateau", dict()),
        ("ModelCheckpoint", dict(filepath="a.keras", save_best_only=True)),
    ],
)
def test_the_warmup_must_not_mislead_who_looks_for_the_best(name, arguments):
    callback = getattr(keras.callbacks, name)(
        monitor="tuning_loss", mode="min", **arguments
    )
    with pytest.raises(ValueError, match=f"{name}.*warmup_epochs=2"):
        fit(make_model(), epochs=3, warmup_epochs=2, callbacks=[callback])
    check_monitors([callback], warmup_epochs=0)


def test_who_does_not_look_for_the_best_in_the_warmup_is_let_pass():
    arguments = dict(monitor="tuning_loss", mode="min")
    check_monitors(
        [
            keras.callbacks.EarlyStopping(start_from_epoch=2, **arguments),
            keras.callbacks.ModelCheckpoint("a.keras", **arguments),
            keras.callbacks.ModelCheckpoint(
                "a.keras",
                save_best_only=True,
                initial_value_threshold=np.inf,
                **arguments,
            ),
            keras.callbacks.EarlyStopping(),
            stn.callbacks.NonMonotonicDecay("tuning_loss"),
        ],
        warmup_epochs=2,
    )
