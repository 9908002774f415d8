"""Plain numbers in layers of this package, which may be tuned on request."""

from inspect import isclass

import keras
import numpy as np
import pytest

import keras_stn as stn
from keras_stn import layers
from keras_stn.conversion.conversion_plan import ConversionPlan
from keras_stn.conversion.tunable_values import find_values
from keras_stn.hyperparameters.hyperparameter import HyperParameter

RATE = (0, 0.9)
RECURRENT = {
    "_dropout": (0.2, *RATE),
    "_recurrent_dropout": (0.0, *RATE),
    "_recurrent_dropconnect": (0.0, *RATE),
}

# Each layer that takes hyperparameters, and what it has of numbers: the end of
# the name, value and range. A new layer is covered by its line here.
OWN = [
    (layers.ActivityRegularization(2.0), {"_alpha": (2.0, 0, 8.0)}),
    (layers.AlphaDropout(0.1), {"": (0.1, *RATE)}),
    (layers.CutMix(0.5), {"": (0.5, *RATE)}),
    (layers.CutMix((0.2, 0.5)), {}),
    (layers.Dropout(0.2), {"": (0.2, *RATE)}),
    (layers.Dropout(0.9), {"": (0.9, 0, 1)}),
    (layers.EmbeddingDropout(0.1), {"": (0.1, *RATE)}),
    (layers.GaussianDropout(0.1), {"": (0.1, *RATE)}),
    (layers.GaussianNoise(0.1), {"": (0.1, 0, 1)}),
    (layers.HyperEmbedding(7, 3, dropout=0.2), {"_dropout": (0.2, *RATE)}),
    (layers.HyperGRU(3, dropout=0.2), RECURRENT),
    (layers.HyperGRUCell(3, dropout=0.2), RECURRENT),
    (
        layers.HyperGroupQueryAttention(3, 4, 2, dropout=0.1),
        {"_dropout": (0.1, *RATE)},
    ),
    (layers.HyperLSTM(3, dropout=0.2), RECURRENT),
    (layers.HyperLSTMCell(3, dropout=0.2), RECURRENT),
    (layers.HyperMultiHeadAttention(2, 3), {"_dropout": (0.0, *RATE)}),
    (layers.HyperSimpleRNN(3, dropout=0.2), RECURRENT),
    (layers.HyperSimpleRNNCell(3, dropout=0.2), RECURRENT),
    (layers.MixUp(0.2), {"_alpha": (0.2, 0, 0.8)}),
    (layers.RandomBrightness(0.2), {"": (0.2, 0, 0.5)}),
    (layers.RandomBrightness((-0.1, 0.2)), {}),
    (
        layers.RandomColorJitter(
            brightness_factor=(0, 0.1), contrast_factor=0.2, hue_factor=0.1
        ),
        {"_contrast": (0.2, 0, 0.5), "_hue": (0.1, 0, 0.5)},
    ),
    (layers.RandomContrast(0.2), {"": (0.2, 0, 0.5)}),
    (
        layers.RandomCutout(1, 0),
        {"_holes": (1, 0, 4), "_length": (0, 0, 4)},
    ),
    (
        layers.RandomCutout(stn.Int("holes", 0, 3), 5),
        {"_length": (5, 0, 20)},
    ),
    (layers.RandomGaussianBlur(0.5, sigma=0.5), {"_sigma": (0.5, 0, 1)}),
    (layers.RandomHue(0.1), {"": (0.1, 0, 0.5)}),
    (layers.RandomInputScale(0.05), {"": (0.05, 0, 0.2)}),
    (layers.RandomRotation(0.1), {"": (0.1, 0, 0.25)}),
    (layers.RandomSaturation(0.1), {"": (0.1, 0, 0.5)}),
    (layers.RandomShear(0.1), {"_x": (0.1, 0, 0.5), "_y": (0, 0, 0.5)}),
    (
        layers.RandomTranslation(0.1, 0.2),
        {"_height": (0.1, 0, 0.5), "_width": (0.2, 0, 0.5)},
    ),
    (layers.RandomZoom(0.1), {"_height": (0.1, 0, 0.5)}),
    (layers.SpatialDropout1D(0.1), {"": (0.1, *RATE)}),
    (layers.SpatialDropout2D(0.1), {"": (0.1, *RATE)}),
    (layers.SpatialDropout3D(0.1), {"": (0.1, *RATE)}),
    (layers.TemporalActivityRegularization(1.0), {"_beta": (1.0, 0, 4.0)}),
    (layers.VariationalDropout(0.1), {"": (0.1, *RATE)}),
    (layers.WeightDropConnect(0.1), {"": (0.1, *RATE)}),
]
# Layers whose weights respond, and no more.
WITHOUT_STRENGTHS = {
    "HyperConv1D",
    "HyperConv2D",
    "HyperConv2DTranspose",
    "HyperConv3D",
    "HyperDense",
    "HyperDepthwiseConv1D",
    "HyperDepthwiseConv2D",
    "HyperEinsumDense",
    "HyperLayer",
    "HyperSeparableConv1D",
    "HyperSeparableConv2D",
}
IDS = [f"{type(layer).__name__}_{i}" for i, (layer, _) in enumerate(OWN)]


def plan(layer, **arguments):
    return ConversionPlan(keras.Sequential([layer]), **arguments)


@pytest.mark.parametrize("layer, expected", OWN, ids=IDS)
def test_a_layer_here_offers_its_numbers_and_keeps_them(layer, expected):
    values = find_values(layer, responds=False)
    found = {v.suffix: (v.value, v.low, v.high) for v in values}
    assert found == {
        suffix: pytest.approx(numbers) for suffix, numbers in expected.items()
    }
    assert not any(value.is_used for value in values)
    made = plan(layer)
    assert made.chosen == []
    assert made.replace(layer).get_config() == layer.get_config()


@pytest.mark.parametrize("layer, expected", OWN, ids=IDS)
def test_what_is_named_is_tuned_by_what_the_layer_takes(layer, expected):
    names = [layer.name + suffix for suffix in expected]
    made = plan(layer, tune=names)
    replaced = made.replace(layer)
    assert type(replaced) is type(layer)
    assert replaced.name == layer.name
    config = replaced.get_config()
    for name, _, value in made.chosen:
        declared = config[value.argument]
        # Of a pair the upper end.
        declared = declared[1] if isinstance(declared, list) else declared
        declared = keras.saving.deserialize_keras_object(declared)
        is_count = name.endswith(("_holes", "_length"))
        assert type(declared) is (stn.Int if is_count else stn.Float)
        assert declared.name == name
        assert declared.default == pytest.approx(value.value, abs=0.04)


@pytest.mark.parametrize("layer, expected", OWN, ids=IDS)
def test_no_argument_that_takes_a_hyperparameter_is_left_out(layer, expected):
    offered = {value.argument for value in find_values(layer, responds=False)}
    config = layer.get_config()
    for name, value in config.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        for probe in (stn.Float("p", 0.1, 0.5), stn.Int("p", 1, 3)):
            try:
                probed = type(layer).from_config({**config, name: probe})
            except (TypeError, ValueError):
                continue
            arguments = [
                argument.name
                for argument in probed.tunable_arguments()
                if argument.value == probe
            ]
            assert arguments in ([], [name])
            assert name in offered or not arguments


def test_every_layer_has_its_case():
    public = {name for name, kind in vars(layers).items() if isclass(kind)}
    cases = {type(layer).__name__ for layer, _ in OWN}
    assert public - cases == WITHOUT_STRENGTHS
    assert not cases - public


def hidden(kind, **regularizers):
    return kind(3, name="hidden", **regularizers)


@pytest.mark.parametrize(
    "kind", [keras.layers.Dense, layers.HyperDense], ids=["keras", "own"]
)
def test_penalties_of_this_package_offer_the_numbers_they_have(kind):
    l2 = stn.Float("l2", 1e-5, 1e-1, sampling="log")
    layer = hidden(
        kind,
        kernel_regularizer=stn.regularizers.L1L2(0.05, l2),
        bias_regularizer=stn.regularizers.L2(1e-4),
    )
    assert plan(layer).chosen == []
    kept = plan(layer).replace(layer)
    assert kept.kernel_regularizer.strengths == {"l1": 0.05, "l2": l2}
    made = plan(layer, tune=["hidden_kernel_l1"], response=[])
    strengths = made.replace(layer).kernel_regularizer.strengths
    assert strengths["l1"] == stn.Float(
        "hidden_kernel_l1",
        1e-7,
        0.5,
        default=0.05,
        sampling="log",
        per_example=False,
    )
    assert strengths["l2"] == l2
    assert [candidate.name for candidate in made.candidates] == [
        "hidden_kernel_l1",
        "hidden_bias_l2",
    ]


def test_further_arguments_of_a_penalty_stay():
    layer = hidden(
        layers.HyperDense,
        kernel_regularizer=stn.regularizers.OrthogonalRegularizer(
            0.5, mode="columns"
        ),
    )
    made = plan(layer, tune=["hidden_kernel_factor"])
    regularizer = made.replace(layer).kernel_regularizer
    assert regularizer.mode == "columns"
    assert isinstance(regularizer.strengths["factor"], stn.Float)


def test_a_penalty_of_keras_in_a_layer_here_is_tuned_if_it_is_named():
    layer = hidden(layers.HyperDense, kernel_regularizer="l2")
    assert plan(layer).chosen == []
    made = plan(layer, tune=["hidden_kernel_l2"])
    regularizer = made.replace(layer).kernel_regularizer
    assert type(regularizer) is stn.regularizers.L2
    assert regularizer.is_tunable


class Shade(layers.HyperLayer):
    def __init__(self, depth, share, **kwargs):
        super().__init__(**kwargs)
        self.depth = self.declare_strength("depth", depth, 5)
        self.share = self.declare(share)

    def get_config(self):
        return {
            **super().get_config(),
            "depth": self.depth,
            "share": self.share,
        }


def test_a_layer_of_ones_own_offers_what_it_declares_by_name():
    layer = Shade(4.8, 0.5, name="shade")
    (value,) = find_values(layer, responds=False)
    assert (value.argument, value.value) == ("depth", 4.8)
    assert (value.low, value.high) == (0, 5)
    tuned = plan(layer, tune=["shade_depth"]).replace(layer)
    assert isinstance(tuned.depth, HyperParameter)
    assert tuned.share == 0.5


def cutout_plan(ends):
    layer = layers.RandomCutout(1, 4, name="cutout")
    return plan(layer, ranges={"cutout_holes": ends}).replace(layer)


def test_an_integer_takes_an_int_or_a_pair_of_integers():
    holes = stn.Int("holes", 0, 6, default=2)
    assert cutout_plan(holes).holes is holes
    assert cutout_plan((0, 6)).holes == stn.Int("cutout_holes", 0, 6, default=1)
    assert cutout_plan((np.int64(0), 3.0)).holes.high == 4


@pytest.mark.parametrize(
    "ends, message",
    [
        (stn.Float("holes", 0.0, 6.0), "`stn.Int` or a pair.*is an integer"),
        ((0, 2.5), "(?s)an `stn.Int`. Received.*`max_value`.*an integer"),
        ((2, 4), "must lie in its range"),
    ],
)
def test_another_range_of_an_integer_is_refused(ends, message):
    with pytest.raises(ValueError, match=message):
        cutout_plan(ends)


@pytest.mark.parametrize("kind", [keras.layers.Dropout, layers.Dropout])
def test_a_number_with_a_fraction_takes_no_int(kind):
    with pytest.raises(ValueError, match="an `stn.Float`.*not an integer"):
        plan(kind(0.2, name="drop"), ranges={"drop": stn.Int("n", 0, 1)})
