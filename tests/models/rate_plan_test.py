"""The learning rate of the hyperparameters follows the length of `fit`."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_stn as stn
from keras_stn.models import rate_plan
from keras_stn.models.rate_plan import planned_end
from keras_stn.models.rate_plan import planned_rate

X = np.random.default_rng(0).normal(size=(40, 3)).astype("float32")
Y = X[:, :1]


def make_model(**kwargs):
    rate = stn.Float("rate", 0.0, 0.9, default=0.2)
    network = keras.Sequential(
        [
            keras.Input((3,)),
            stn.layers.HyperDense(4),
            stn.layers.Dropout(rate),
            stn.layers.HyperDense(1),
        ]
    )
    model = stn.SelfTuningModel(network, **kwargs.pop("model", {}))
    model.compile("sgd", "mse", **kwargs)
    return model


class Rates(keras.callbacks.Callback):
    """Notes both learning rates in every epoch."""

    def __init__(self):
        super().__init__()
        self.rates = []

    def on_epoch_end(self, epoch, logs=None):
        self.rates.append(
            [
                float(optimizer.learning_rate)
                for optimizer in (
                    self.model.hyper_optimizer,
                    self.model.scale_optimizer,
                )
            ]
        )


def fit(model, *callbacks, x=X, y=Y, **kwargs):
    rates = Rates()
    arguments = {"validation_data": (X, Y), "batch_size": 4, "verbose": 0}
    model.fit(x, y, callbacks=[rates, *callbacks], **(arguments | kwargs))
    return np.array(rates.rates)


def expected(cycles, epochs, first=0, last=None):
    """The rates of a training with five cycles an epoch."""
    last = epochs if last is None else last
    planned = last - first
    return [
        planned_rate(cycles * planned, (max(epoch - first, 0) + 0.5) / planned)
        for epoch in range(epochs)
    ]


def test_the_whole_way_is_the_reach():
    steps, epochs = 2000, 200
    shares = (np.arange(epochs) + 0.5) / epochs
    rates = [planned_rate(steps, share) for share in shares]
    way = np.sum(rates) * steps / epochs
    # The mean of half a cosine that ends above 0, less what the rise takes.
    share = (1 + rate_plan.LAST_SHARE - rate_plan.RISE) / 2
    assert way == pytest.approx(rate_plan.REACH * share, rel=0.02)


def test_the_rate_has_bounds_and_falls():
    top = planned_rate(1, rate_plan.RISE)
    assert 0.95 * rate_plan.LARGEST < top < rate_plan.LARGEST
    assert planned_rate(10**7, 1.0) < planned_rate(10**7, rate_plan.RISE)
    assert planned_rate(10**7, rate_plan.RISE) < rate_plan.SMALLEST
    assert planned_rate(None, 0.0) == rate_plan.SMALLEST
    rises = [planned_rate(1000, share) for share in (0.01, 0.05, 0.1)]
    assert rises == sorted(rises)
    falls = [planned_rate(1000, share) for share in (0.1, 0.3, 0.6, 1, 2)]
    assert falls == sorted(falls, reverse=True)
    assert falls[-1] == falls[-2]
    assert falls[-1] == pytest.approx(rate_plan.LAST_SHARE * 40 / 1000)


def test_fit_plans_both_rates():
    rates = fit(make_model(), epochs=4)
    # 40 examples make ten batches, two of them a cycle.
    np.testing.assert_allclose(rates[:, 0], expected(5, 4), rtol=1e-6)
    np.testing.assert_array_equal(rates[:, 0], rates[:, 1])


def test_a_second_fit_is_planned_anew():
    model = make_model()
    fit(model, epochs=6)
    rates = fit(model, epochs=2)
    np.testing.assert_allclose(rates[:, 0], expected(5, 2), rtol=1e-6)


def test_the_warm_up_is_no_part_of_the_plan():
    rates = fit(make_model(), epochs=5, warmup_epochs=2)[:, 0]
    np.testing.assert_allclose(rates, expected(5, 5, first=2), rtol=1e-6)


def test_a_training_that_begins_later_is_shorter():
    rates = fit(make_model(), epochs=6, initial_epoch=4)[:, 0]
    np.testing.assert_allclose(rates, expected(5, 2), rtol=1e-6)


def test_patience_says_how_long_a_training_may_last():
    # Every loss is better than the last by more than minus a hundred.
    stopping = keras.callbacks.EarlyStopping(patience=1, min_delta=100.0)
    stopping._is_improvement = lambda monitor_value, reference_value: True
    rates = fit(make_model(), stopping, epochs=8)[:, 0]
    np.testing.assert_allclose(rates, expected(5, 8, last=5), rtol=1e-6)


@pytest.mark.parametrize(
    "callbacks, end",
    [
        (None, 100),
        ([], 100),
        ([keras.callbacks.EarlyStopping(patience=4)], 23),
        ([keras.callbacks.EarlyStopping(patience=40)], 100),
        (keras.callbacks.EarlyStopping(patience=4), 23),
        ([keras.callbacks.History(), None], 100),
    ],
)
def test_the_planned_end(callbacks, end):
    assert planned_end(3, 100, callbacks) == end


def test_data_of_unknown_size_are_planned_for_after_one_epoch():
    def generate():
        for start in range(0, 40, 4):
            yield X[start : start + 4], Y[start : start + 4]

    signature = (tf.TensorSpec((None, 3)), tf.TensorSpec((None, 1)))
    data = tf.data.Dataset.from_generator(generate, output_signature=signature)
    with warnings.catch_warnings():
        # Keras says so at the end of the first epoch of such data.
        warnings.filterwarnings("ignore", "Your input ran out of data")
        rates = fit(make_model(), x=data, y=None, batch_size=None, epochs=3)
    rates = rates[:, 0]
    assert rates[0] == pytest.approx(rate_plan.SMALLEST)
    np.testing.assert_allclose(rates[1:], expected(5, 3)[1:], rtol=1e-6)


def test_an_optimizer_that_was_given_keeps_its_rate():
    given = keras.optimizers.Adam(0.01)
    rates = fit(make_model(hyper_optimizer=given), epochs=2)
    np.testing.assert_allclose(rates, 0.01)
    given = keras.optimizers.Adam(0.01)
    rates = fit(make_model(scale_optimizer=given), epochs=2)
    np.testing.assert_allclose(rates[:, 0], expected(5, 2), rtol=1e-6)
    np.testing.assert_allclose(rates[:, 1], 0.01)


def test_the_papers_rate_is_not_planned():
    rates = fit(make_model(model={"preset": "paper"}), epochs=2)
    np.testing.assert_allclose(rates, 3e-3)


def test_a_saved_model_goes_on_planning(tmp_path):
    model = make_model()
    fit(model, epochs=3)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    saved = float(model.hyper_optimizer.learning_rate)
    assert float(loaded.hyper_optimizer.learning_rate) == saved
    rates = fit(loaded, epochs=2)
    np.testing.assert_allclose(rates[:, 0], expected(5, 2), rtol=1e-6)
