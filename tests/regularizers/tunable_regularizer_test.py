"""What every regularizer with a tunable strength must do."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_stn as stn
from keras_stn.hyperparameters import Sample
from keras_stn.hyperparameters.step import sampled
from keras_stn.layers.hyper_layer import find_declarations
from tests.layers.samples import Providing
from tests.layers.samples import sample_at
from tests.numerics import value_and_gradients

X = ops.convert_to_tensor(
    np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
)

# The class's name, the name of its strength, and its other arguments.
CASES = [
    ("L1", "l1", {}),
    ("L2", "l2", {}),
    ("L1L2", "l1", {"l2": 0.3}),
    ("L1L2", "l2", {}),
    ("OrthogonalRegularizer", "factor", {}),
    ("OrthogonalRegularizer", "factor", {"mode": "columns"}),
]


def strength(name="strength", **kwargs):
    arguments = {"default": 0.01, "sampling": "log", "per_example": False}
    return stn.Float(name, 1e-4, 1.0, **{**arguments, **kwargs})


@pytest.fixture(params=CASES, ids=lambda case: "-".join(map(str, case)))
def case(request):
    """Makes a regularizer, and Keras's, of a strength."""
    cls, name, arguments = request.param

    def make(value):
        return getattr(stn.regularizers, cls)(**{**arguments, name: value})

    def make_keras(value):
        return getattr(keras.regularizers, cls)(**{**arguments, name: value})

    return make, make_keras, name


def test_numbers_give_the_penalty_of_keras(case):
    make, make_keras, _ = case
    assert float(make(0.2)(X)) == float(make_keras(0.2)(X)) > 0
    assert make(0.2).get_config() == make_keras(0.2).get_config()


def test_a_number_and_its_range_may_not_be_negative(case):
    make, _, name = case
    with pytest.raises(ValueError, match=f"argument {name}"):
        make(-0.1)
    with pytest.raises(ValueError, match=f"`{name}` must not be negative"):
        make(stn.Float("strength", -1.0, 1.0))
    with pytest.raises(ValueError, match=f"`{name}` must not be negative"):
        make(stn.Float("strength"))


def test_without_a_sample_the_strength_is_its_default(case):
    make, make_keras, _ = case
    np.testing.assert_allclose(
        make(strength())(X), make_keras(0.01)(X), rtol=1e-6
    )


def test_the_strength_is_the_mean_over_the_groups(case):
    make, make_keras, _ = case
    with sampled(sample_at(strength(), [0.1, 0.2, 0.6])):
        penalty = make(strength())(X)
    np.testing.assert_allclose(penalty, make_keras(0.3)(X), rtol=1e-5)


def test_the_penalty_is_differentiable_in_the_strength(case):
    make, make_keras, _ = case
    values = ops.convert_to_tensor([[0.1], [0.5]])
    regularizer = make(strength())

    def penalty():
        with sampled(Sample(values, values, [strength()])):
            return regularizer(X)

    _, (gradient,) = value_and_gradients(penalty, [values])
    # Linear in the strength, and each of two groups has half of it.
    slope = (make_keras(0.8)(X) - make_keras(0.3)(X)) / 0.5
    np.testing.assert_allclose(gradient, [[slope / 2]] * 2, rtol=1e-4)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_the_penalty_has_the_dtype_of_the_tensor(case, dtype):
    make, _, _ = case
    x = ops.cast(X, dtype)
    with sampled(sample_at(strength(), [0.1])):
        assert make(strength())(x).dtype == dtype


def test_the_configuration_gives_the_regularizer_back(case):
    make, _, name = case
    config = keras.regularizers.serialize(make(strength()))
    again = keras.regularizers.deserialize(config)
    assert again.declarations == [strength()]
    assert keras.regularizers.serialize(again) == config
    assert name in config["config"]


def test_both_strengths_of_one_regularizer_may_be_tuned():
    regularizer = stn.regularizers.L1L2(strength("a"), strength("b"))
    assert regularizer.declarations == [strength("a"), strength("b")]
    values = ops.convert_to_tensor([[0.1, 0.5]])
    with sampled(Sample(values, values, regularizer.declarations)):
        penalty = regularizer(X)
    expected = keras.regularizers.L1L2(0.1, 0.5)(X)
    np.testing.assert_allclose(penalty, expected, rtol=1e-6)


def test_an_unknown_hyperparameter_is_refused():
    regularizer = stn.regularizers.L2(strength("missing"))
    with sampled(sample_at(strength("other"), [0.1])):
        with pytest.raises(ValueError, match="'missing'"):
            regularizer(X)


def make_network():
    return keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(
                2,
                kernel_regularizer=stn.regularizers.L2(strength("kernel")),
                bias_regularizer=stn.regularizers.L1(strength("bias")),
            ),
            keras.layers.ReLU(
                activity_regularizer=stn.regularizers.L2(strength("activity"))
            ),
            stn.layers.HyperDense(
                1, kernel_regularizer=stn.regularizers.L2(strength("hyper"))
            ),
        ]
    )


def test_declarations_in_regularizers_of_any_layer_are_found():
    network = make_network()
    assert {h.name for h in find_declarations(network)} == {
        "kernel",
        "bias",
        "activity",
        "hyper",
    }
    model = stn.SelfTuningModel(network)
    assert model.hyperparameters.names == [
        h.name for h in find_declarations(network)
    ]


def test_the_activity_penalty_uses_the_sample_of_the_call():
    declaration = strength("activity")
    layer = keras.layers.ReLU(
        activity_regularizer=stn.regularizers.L2(declaration)
    )
    model = Providing(layer, sample_at(declaration, [0.2, 0.4]))
    model(X)
    expected = 0.3 * np.sum(np.maximum(X, 0) ** 2) / len(X)
    np.testing.assert_allclose(model.losses[0], expected, rtol=1e-5)


def test_the_penalties_of_a_model_follow_its_current_values():
    model = stn.SelfTuningModel(make_network())
    kernel = model.network.layers[0].kernel
    space = model.hyperparameters
    column = space.names.index("kernel")
    for shift in (0.0, 2.0):
        location = space.location.numpy()
        location[column] += shift
        space.location.assign(location)
        value = model.hyperparameter_values()["kernel"]
        penalties = [float(loss) for loss in model.losses]
        expected = value * np.sum(np.square(kernel))
        assert np.isclose(penalties, expected, rtol=1e-4).any()
