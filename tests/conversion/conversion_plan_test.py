import keras
import pytest
from keras import layers

import keras_stn as stn
from keras_stn.conversion.conversion_plan import ConversionPlan
from tests.conversion.cases import MODELS


def plan(name_or_model, *args, **kwargs):
    model = name_or_model
    if isinstance(model, str):
        # Layers without a name are counted anew.
        keras.utils.clear_session(free_memory=False)
        model = MODELS[model]()
    return ConversionPlan(model, *args, **kwargs).summarize()


def tunable(*args, **kwargs):
    rows = plan(*args, **kwargs).tunable
    return {name: (value, ends) for name, value, ends in rows}


def small(*inner, **kwargs):
    return keras.Sequential(
        [keras.Input((6, 6, 3)), *inner, layers.Flatten(), layers.Dense(2)],
        **kwargs,
    )


def test_every_strength_has_a_name_and_a_range_around_it():
    assert tunable("augmented") == {
        "random_brightness": (0.2, "0 to 0.5"),
        "random_contrast": (0.2, "0 to 0.5"),
        "random_hue": (0.1, "0 to 0.5"),
        "random_saturation": (pytest.approx(0.2), "0 to 0.5"),
        "random_color_jitter_brightness": (0.1, "0 to 0.5"),
        "random_color_jitter_hue": (0.1, "0 to 0.5"),
        "random_gaussian_blur_sigma": (0.5, "0 to 1"),
        "random_rotation": (0.1, "0 to 0.25"),
        "random_translation_height": (0.1, "0 to 0.5"),
        "random_translation_width": (0.2, "0 to 0.5"),
        "random_zoom_height": (0.1, "0 to 0.5"),
        "gaussian_noise": (0.1, "0 to 1"),
        "conv2d_kernel_l2": (0.01, "1e-07 to 0.1, log"),
        "conv2d_activity_l1": (pytest.approx(0.01), "1e-07 to 0.1, log"),
        "spatial_dropout2d": (0.2, "0 to 0.9"),
        "gaussian_dropout": (0.2, "0 to 0.9"),
        "dense_kernel_l1": (1e-4, "1e-07 to 0.1, log"),
        "dense_kernel_l2": (1e-3, "1e-07 to 0.1, log"),
        "dense_bias_l1": (pytest.approx(1e-3), "1e-07 to 0.1, log"),
        "alpha_dropout": (0.2, "0 to 0.9"),
    }


def test_what_has_one_name_in_two_models_is_called_by_both():
    assert list(tunable("residual")) == ["first_dropout", "second_dropout"]


def test_two_directions_share_a_rate():
    assert tunable("bidirectional")["lstm_dropout"][0] == 0.2


def test_a_value_of_0_is_tuned_if_it_is_asked_for():
    assert list(tunable("gru")) == ["gru_dropout", "dropout"]
    names = tunable("gru", ranges={"gru_recurrent_dropout": (0, 0.4)})
    assert names["gru_recurrent_dropout"] == (pytest.approx(0.004), "0 to 0.4")
    assert list(tunable("gru", ["gru_recurrent_dropout"])) == [
        "gru_recurrent_dropout"
    ]


def test_a_dropout_of_0_is_there_to_be_tuned():
    assert "dropout" in tunable(small(layers.Dropout(0.0, name="dropout")))


def test_a_penalty_of_0_beside_another_can_be_tuned():
    regularizer = keras.regularizers.L1L2(l1=1e-3)
    model = small(layers.Conv2D(2, 3, kernel_regularizer=regularizer, name="c"))
    assert list(tunable(model)) == ["c_kernel_l1"]
    value, ends = tunable(model, ["c_kernel_l2"])["c_kernel_l2"]
    assert 1e-7 < value < 2e-7
    assert ends == "1e-07 to 0.1, log"


def test_a_value_near_the_end_widens_the_range():
    assert tunable(small(layers.Dropout(0.9, name="d")))["d"] == (
        0.9,
        "0 to 1",
    )


def test_bounds_that_are_no_single_strength_stay():
    model = small(
        layers.RandomZoom((-0.1, 0.3), name="zoom"),
        layers.RandomTranslation((-0.1, 0.3), 0.1, name="move"),
        layers.Dropout(0.1, name="dropout"),
    )
    summary = plan(model)
    names = [name for name, *_ in summary.tunable]
    assert names == ["move_width", "dropout"]
    assert summary.ordinary == [
        ("zoom", "RandomZoom", "`height_factor` is no single strength"),
        ("move", "RandomTranslation", "`height_factor` is no single strength"),
    ]
    replaced = ConversionPlan(model).replace(model.get_layer("move"))
    assert replaced.height_factor == (-0.1, 0.3)


def test_a_jitter_with_a_saturation_that_none_here_has_stays():
    # Keras makes the bounds -0.2 and 0.2 of it.
    jitter = layers.RandomColorJitter(
        brightness_factor=0.1, saturation_factor=0.2, name="jitter"
    )
    summary = plan(small(jitter, layers.Dropout(0.1)))
    assert [row[0] for row in summary.ordinary] == ["jitter", "jitter"]


def test_a_penalty_on_what_is_frozen_stays():
    frozen = layers.Dense(
        3,
        kernel_regularizer="l2",
        activity_regularizer="l2",
        trainable=False,
        name="frozen",
    )
    names = tunable(small(frozen, layers.Dropout(0.1, name="dropout")))
    assert list(names) == ["frozen_activity_l2", "dropout"]


def test_a_range_may_be_a_hyperparameter_and_be_shared():
    rate = stn.Float("rate", 0.0, 0.5, default=0.2, scale=1.0)
    model = small(layers.Dropout(0.1, name="a"), layers.Dropout(0.3, name="b"))
    made = ConversionPlan(model, ranges={"a": rate, "b": rate})
    assert made.replace(model.get_layer("a")).rate is rate
    assert made.replace(model.get_layer("b")).rate is rate
    assert made.summarize().tunable == [("rate", 0.2, "0 to 0.5")]


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"tune": ["dropuot"]}, "It has: dropout, conv_kernel_l2.*'dropuot'"),
        ({"tune": "dropout"}, "must be a list of names"),
        ({"ranges": {"rate": (0, 1)}}, "It has: dropout.*'rate'"),
        ({"ranges": {"dropout": 0.5}}, "pair .*ranges={'dropout': 0.5}"),
        ({"ranges": {"dropout": (0, 0.2)}}, "value 0.3.*must lie in its range"),
        ({"ranges": {"dropout": (0.5, 0.1)}}, "less than `max_value`"),
        (
            {"tune": ["dropout"], "ranges": {"conv_kernel_l2": (1e-6, 1)}},
            "Add it to `tune`.*conv_kernel_l2",
        ),
        ({"response": "cnov"}, "picks no layer.*response='cnov'.*conv"),
        ({"response": 3}, "must be a layer's name.*response=3"),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments, message):
    conv = layers.Conv2D(2, 3, kernel_regularizer="l2", name="conv")
    model = small(layers.Dropout(0.3, name="dropout"), conv)
    with pytest.raises(ValueError, match=f"(?s){message}"):
        ConversionPlan(model, **arguments)


@pytest.mark.parametrize(
    "response, expected",
    [
        ("conv", ["conv"]),
        (layers.Dense, ["hidden", "head"]),
        (lambda layer: layer.name.startswith("h"), ["hidden", "head"]),
        (["conv", layers.Dense], ["conv", "hidden", "head"]),
    ],
)
def test_response_picks_layers(response, expected):
    model = keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            layers.Conv2D(2, 3, name="conv"),
            layers.Dropout(0.1),
            layers.Flatten(),
            layers.Dense(2, name="hidden"),
            layers.Dense(2, name="head"),
        ]
    )
    summary = plan(model, response=response)
    assert [name for name, _ in summary.responding] == expected
    left = {"conv", "hidden", "head"} - set(expected)
    assert {name for name, *_ in summary.ordinary} == left


def test_a_rate_of_a_layer_without_response_stays():
    x = keras.Input((5, 4))
    y = layers.LSTM(3, dropout=0.2, name="lstm")(x)
    y = layers.Dense(2, name="dense")(layers.Dropout(0.1, name="dropout")(y))
    model = keras.Model(x, y)
    made = ConversionPlan(model, response="dense")
    assert [name for name, *_ in made.summarize().tunable] == ["dropout"]
    kept = made.replace(model.get_layer("lstm"))
    assert type(kept) is layers.LSTM
    assert kept.dropout == 0.2


def test_what_stays_has_a_reason():
    class Own(layers.Layer):
        def call(self, inputs):
            return inputs

    class OwnDense(layers.Dense):
        pass

    frozen = layers.Dense(3, name="frozen", trainable=False)
    adapted = layers.Dense(3, name="adapted", lora_rank=1)
    model = keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            layers.Dropout(0.1),
            layers.ConvLSTM1D(2, 2, name="conv_lstm"),
            layers.Flatten(),
            Own(name="own"),
            OwnDense(3, name="own_dense"),
            layers.BatchNormalization(name="norm"),
            frozen,
            adapted,
        ]
    )
    reasons = {name: reason for name, _, reason in plan(model).ordinary}
    assert reasons == {
        "conv_lstm": "no version of this class responds",
        "own": "not a class of `keras.layers`",
        "own_dense": "not a class of `keras.layers`",
        "norm": "normalization stays as it is",
        "frozen": "not trainable",
        "adapted": "LoRA adapts it already",
    }
    left = plan(model, tune=[], ranges={}).ordinary
    assert ("dropout", "left out by `tune`") in [
        (name.split("_")[0], reason) for name, _, reason in left
    ]


def test_the_table_is_short():
    inner = [layers.Conv2D(3, 1, name=f"conv_{i}") for i in range(9)]
    rate = layers.Dropout(0.25, name="dropout")
    summary = plan(small(*inner, rate, layers.BatchNormalization(name="norm")))
    assert str(summary).splitlines() == [
        "tunable  value  range",
        "dropout  0.25   0 to 0.9",
        "",
        "weights respond",
        "  9 Conv2D (conv_0, conv_1, conv_2, conv_3 and 5 more)",
        f"  1 Dense ({summary.responding[-1][0]})",
        "",
        "stays ordinary",
        "  1 BatchNormalization: normalization stays as it is (norm)",
    ]


def test_what_disturbs_and_cannot_be_tuned_is_listed():
    x = keras.Input((5, 4))
    y = layers.AdditiveAttention(dropout=0.1, name="dropping")([x, x])
    y = layers.Attention(name="plain")([y, x])
    y = layers.ActivityRegularization(1e-3, name="penalty")(y)
    y = layers.Reshape((5, 4, 1))(y)
    y = layers.Flatten()(layers.RandomFlip(name="flip")(y))
    y = layers.Dense(2)(layers.Dropout(0.1)(y))
    ordinary = plan(keras.Model(x, y)).ordinary
    reason = "no version of this class is tunable"
    assert [(name, why) for name, _, why in ordinary] == [
        ("dropping", reason),
        ("penalty", reason),
        ("flip", reason),
    ]


def test_a_layer_that_cannot_be_made_again_is_named():
    class Scale(layers.Layer):
        def __init__(self, factor):
            super().__init__(name="scale")
            self.factor = factor

        def call(self, inputs):
            return self.factor * inputs

    model = small(Scale(2.0), layers.Dropout(0.1))
    with pytest.raises(ValueError, match="(?s)'scale' .*get_config.*Scale"):
        stn.SelfTuningModel.from_keras(model)
