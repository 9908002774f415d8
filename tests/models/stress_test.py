"""Many steps of a tiny network that has every kind of layer."""

import resource

import keras
import numpy as np
import pytest

import keras_stn as stn
from keras_stn.schedules.records import read_records

STEPS = 50_000
EPOCH = 500
BATCH = 4
RNG = np.random.default_rng(0)
X = RNG.random((EPOCH * BATCH, 4, 4, 3), "float32")
Y = RNG.integers(0, 3, EPOCH * BATCH)


def tuned(name, high=0.5, default=0.1, **kwargs):
    return stn.Float(name, 0.0, high, default, **kwargs)


def make_network():
    layers = stn.layers
    penalty = stn.Float("l2", 1e-6, 1e-2, 1e-4, "log", per_example=False)
    return keras.Sequential(
        [
            keras.Input((4, 4, 3)),
            layers.RandomColorJitter(
                value_range=(0, 1),
                brightness_factor=tuned("brightness"),
                contrast_factor=tuned("contrast"),
                saturation_factor=tuned("saturation"),
                hue_factor=tuned("hue"),
            ),
            layers.RandomTranslation(tuned("height"), tuned("width")),
            layers.RandomCutout(
                stn.Int("holes", 0, 2, default=1),
                stn.Int("length", 0, 3, default=1),
            ),
            layers.MixUp(tuned("mix_up", default=0.2)),
            layers.HyperConv2D(
                4,
                3,
                padding="same",
                activation="relu",
                kernel_regularizer=stn.regularizers.L2(penalty),
            ),
            keras.layers.BatchNormalization(),
            layers.SpatialDropout2D(tuned("maps")),
            keras.layers.Reshape((4, 16)),
            layers.GaussianNoise(tuned("noise")),
            layers.HyperLSTM(
                4,
                dropout=tuned("lstm"),
                recurrent_dropout=tuned("state"),
                recurrent_dropconnect=tuned("weights"),
            ),
            layers.Dropout(tuned("units", size=4)),
            layers.HyperDense(3),
        ]
    )


def peak_memory():
    """In megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class Watch(keras.callbacks.Callback):
    """Counts what is traced after the first epochs, and the memory then."""

    def __init__(self, epochs):
        super().__init__()
        self.epochs = epochs

    def on_train_begin(self, logs=None):
        self.traces, train_step = 0, self.model.train_step

        def count(data):
            self.traces += 1
            return train_step(data)

        self.model.train_step = count

    def on_epoch_end(self, epoch, logs=None):
        if epoch == self.epochs:
            self.first_traces, self.first_memory = self.traces, peak_memory()


@pytest.mark.slow
def test_nothing_grows_drifts_or_is_traced_again(tmp_path):
    model = stn.SelfTuningModel(make_network(), groups=2)
    model.compile(
        keras.optimizers.SGD(0.01),
        stn.losses.SparseCategoricalCrossentropy(
            from_logits=True, label_smoothing=tuned("smoothing")
        ),
        metrics=["accuracy"],
        hyper_optimizer=keras.optimizers.Adam(1e-3),
        jit_compile=False,
    )
    watch = Watch(epochs=9)
    schedule = tmp_path / "schedule.csv"
    history = model.fit(
        X,
        Y,
        batch_size=BATCH,
        epochs=STEPS // EPOCH,
        validation_data=(X[:40], Y[:40]),
        callbacks=[watch, stn.callbacks.ScheduleLogger(schedule)],
        verbose=0,
    ).history
    assert int(model.optimizer.iterations) == STEPS
    assert watch.traces == watch.first_traces
    assert peak_memory() < 1.02 * watch.first_memory + 5
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    saved = loaded.hyperparameter_values()
    assert saved == model.hyperparameter_values()
    rows = read_records(schedule)
    assert rows["step"][-1] == STEPS
    for name, value in saved.items():
        value = np.mean(value)
        np.testing.assert_allclose(rows[name][-1], value, rtol=1e-6)
        np.testing.assert_allclose(history[name][-1], value, rtol=1e-6)
        assert np.isfinite(value)
