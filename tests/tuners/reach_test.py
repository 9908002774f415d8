import keras
import keras_tuner
import pytest

import keras_stn as stn
from keras_stn.tuners.tuned_build import build_tuned
from tests.tuners.builds import compiled
from tests.tuners.builds import dense


def find(build):
    hp = keras_tuner.HyperParameters()
    return build_tuned(build, hp), hp


def rate_of(hp, **kwargs):
    return hp.Float("rate", 0.0, 0.8, default=0.1, **kwargs)


class Hidden(keras.layers.Layer):
    """A layer whose configuration does not show its rate."""

    def __init__(self, rate, **kwargs):
        super().__init__(**kwargs)
        self.rate = rate

    def call(self, inputs):
        return inputs

    def get_config(self):
        return {"name": self.name}


class Shown(Hidden):
    """A layer of one's own that shows it."""

    def get_config(self):
        return {"name": self.name, "rate": self.rate}


TUNED = {
    "dropout": lambda hp: dense(keras.layers.Dropout(rate_of(hp))),
    "noise": lambda hp: dense(keras.layers.GaussianNoise(rate_of(hp))),
    "penalty": lambda hp: dense(
        keras.layers.Dense(4, kernel_regularizer=keras.regularizers.L2(
            hp.Float("rate", 1e-6, 1e-2, sampling="log")
        ))
    ),
    "rotation": lambda hp: compiled([
        keras.Input((8, 8, 3)),
        keras.layers.RandomRotation(hp.Float("rate", 0.0, 0.2)),
        keras.layers.Conv2D(2, 3),
        keras.layers.Flatten(),
        keras.layers.Dense(3),
    ]),
    "recurrent": lambda hp: compiled([
        keras.Input((4, 8)),
        keras.layers.Bidirectional(keras.layers.LSTM(3, dropout=rate_of(hp))),
        keras.layers.Dense(3),
    ]),
    "twice": lambda hp: dense(
        keras.layers.Dropout(rate_of(hp)), keras.layers.Dropout(rate_of(hp))
    ),
    "without_input": lambda hp: compiled([
        keras.layers.Dense(4),
        keras.layers.Dropout(rate_of(hp)),
        keras.layers.Dense(3),
    ]),
    "own_layer": lambda hp: dense(stn.layers.Dropout(rate_of(hp))),
}  # fmt: skip

LEFT = {
    "optimizer": (
        lambda hp: dense(optimizer=keras.optimizers.Adam(rate_of(hp))),
        "`learning_rate` of the optimizer",
    ),
    "optimizer as well": (
        lambda hp: dense(
            keras.layers.Dropout(rate_of(hp)),
            optimizer=keras.optimizers.Adam(rate_of(hp)),
        ),
        "is used by 'dropout",
    ),
    "changed on its way": (
        lambda hp: dense(keras.layers.Dropout(1 - rate_of(hp))),
        "`rate` of 'dropout",
    ),
    "also changed elsewhere": (
        lambda hp: dense(
            keras.layers.Dropout(rate_of(hp)),
            keras.layers.Dropout(rate_of(hp) / 2),
        ),
        "decides something else as well: it sets `rate`",
    ),
    "structure": (
        lambda hp: dense(
            *[keras.layers.Dense(4)] * (1 if rate_of(hp) > 0.2 else 0),
            keras.layers.Dropout(rate_of(hp)),
        ),
        "decides",
    ),
    "loss": (
        lambda hp: dense(
            loss=keras.losses.CategoricalCrossentropy(
                label_smoothing=rate_of(hp)
            )
        ),
        "keras_stn.losses",
    ),
    "nothing": (lambda hp: dense() if rate_of(hp) else None, "no argument"),
    "hidden": (lambda hp: dense(Hidden(rate_of(hp))), "no argument"),
    "own class": (lambda hp: dense(Shown(rate_of(hp))), "a `Shown`"),
    "too wide": (
        lambda hp: dense(
            keras.layers.Dropout(hp.Float("rate", 0.0, 9.0, default=0.1))
        ),
        "narrow the range",
    ),
}


@pytest.mark.parametrize("name", TUNED)
def test_values_that_arrive_as_they_are_are_tuned(name):
    found, hp = find(TUNED[name])
    assert list(found.tuned) == ["rate"]
    assert found.left == {}
    assert hp.space == [], "what is tuned must not be searched"
    expected = 2 if name in ("twice",) else 1
    assert len(found.ranges) == expected
    stn.SelfTuningModel.from_keras(
        found.model, tune=[*found.ranges], ranges=found.ranges, verbose=False
    )


@pytest.mark.parametrize("name", LEFT)
def test_other_values_are_left_to_the_search_with_a_reason(name):
    build, reason = LEFT[name]
    found, hp = find(build)
    assert found.tuned == {}
    assert reason in found.left["rate"]
    assert [one.name for one in hp.space] == ["rate"]


def test_ranges_defaults_and_sampling_carry_over():
    def build(hp):
        penalty = hp.Float("l2", 1e-6, 1e-2, default=1e-4, sampling="log")
        return dense(
            keras.layers.Dense(
                4, kernel_regularizer=keras.regularizers.L2(penalty)
            ),
            keras.layers.Dropout(hp.Float("rate", 0.1, 0.7)),
        )

    found, _ = find(build)
    rate, penalty = found.tuned["rate"], found.tuned["l2"]
    assert (rate.low, rate.high, rate.sampling) == (0.1, 0.7, "linear")
    assert (penalty.low, penalty.high) == (1e-6, 1e-2)
    assert (penalty.default, penalty.sampling) == (1e-4, "log")
    assert rate.per_example and not penalty.per_example


def test_values_without_a_default_start_at_a_quarter_of_their_range():
    def build(hp):
        penalty = hp.Float("l2", 1e-6, 1e-2, sampling="log")
        return dense(
            keras.layers.Dense(
                4, kernel_regularizer=keras.regularizers.L2(penalty)
            ),
            keras.layers.Dropout(hp.Float("rate", 0.1, 0.5, step=0.4)),
        )

    found, _ = find(build)
    assert found.tuned["rate"].default == pytest.approx(0.2)
    assert found.tuned["l2"].default == pytest.approx(1e-5)


def test_integers_that_a_layer_of_the_package_takes_are_tuned():
    def build(hp):
        return compiled([
            keras.Input((8, 8, 3)),
            stn.layers.RandomCutout(
                holes=hp.Int("holes", 0, 3, default=1),
                length=hp.Int("length", 1, 6, default=2),
            ),
            keras.layers.Conv2D(hp.Int("filters", 2, 4), 3),
            keras.layers.Flatten(),
            keras.layers.Dense(3),
        ])  # fmt: skip

    found, hp = find(build)
    assert {*found.tuned} == {"holes", "length"}
    assert isinstance(found.tuned["holes"], stn.Int)
    assert [one.name for one in hp.space] == ["filters"]


def test_other_values_of_equal_size_do_not_mislead():
    def build(hp):
        # The learning rate begins where the dropouts begin.
        learning_rate = hp.Float("learning_rate", 0.0, 0.8, default=0.1)
        return dense(
            keras.layers.Dropout(hp.Float("a", 0.0, 0.8, default=0.1)),
            keras.layers.Dropout(0.1),
            keras.layers.Dropout(hp.Float("b", 0.0, 0.8, default=0.1)),
            optimizer=keras.optimizers.Adam(learning_rate),
        )

    found, hp = find(build)
    assert list(found.tuned) == ["a", "b"]
    assert len(found.ranges) == 2
    assert list(found.left) == ["learning_rate"]


def test_a_subclassed_model_is_searched_and_the_reason_says_so():
    class Network(keras.Model):
        def __init__(self, rate):
            super().__init__()
            self.dropout = keras.layers.Dropout(rate)

        def call(self, inputs):
            return self.dropout(inputs)

    def build(hp):
        model = Network(rate_of(hp))
        model.compile("adam", "mse")
        return model

    found, hp = find(build)
    assert "subclassed" in found.left["rate"]
    assert [one.name for one in hp.space] == ["rate"]
