"""The papers' networks: their layers, hyperparameters and fixed twins."""

import keras
import numpy as np
import pytest

import keras_stn as stn
from keras_stn import applications
from keras_stn.hyperparameters import HyperparameterSpace
from keras_stn.layers.hyper_layer import find_declarations
from keras_stn.layers.hyper_layer import find_layers
from keras_stn.layers.response_layer import ResponseLayer
from tests.numerics import to_numpy
from tests.reference_arrays import load_reference

# Ordinary parameters and hyperparameters, counted by hand from the papers'
# layers: kernels and biases; for ResNet18 those of batch normalization too.
COUNTS = {
    "small_cnn": (15_750, 11),
    "alexnet": (23_272_266, 15),
    "simple_cnn": (2_489_130, 6),
    "mlp": (2_395_210, 3),
    "vgg16": (15_245_130, 26),
    "resnet18": (11_173_962 + 2 * 4_800, 19),
}
# The official names of ours, where they are others.
OFFICIAL_NAMES = {
    "brightness": "bright",
    "saturation": "sat",
    "dropout_input": "indropout",
    "input_scale": "inscale",
    "cutout_holes": "cutholes",
    "cutout_length": "cutlength",
    "dropout_dense_1": "fcdropout0",
    "dropout_dense_2": "fcdropout1",
    **{f"dropout_conv_{i}": f"dropout{i - 1}" for i in range(1, 6)},
}


@pytest.fixture(params=COUNTS)
def name(request):
    return request.param


def build(name, **arguments):
    return getattr(applications, name)(**arguments)


def small_images(network, batch_size=4):
    shape = (batch_size, *network.input_shape[1:])
    white = 255 if shape[-1] == 3 else 1
    return np.random.default_rng(0).uniform(0, white, shape).astype("float32")


def test_fixed_network_has_the_ordinary_parameters(name):
    network = build(name, tuned=False)
    assert network.count_params() == COUNTS[name][0]
    assert find_declarations(network) == []
    assert not any(isinstance(n, ResponseLayer) for n in find_layers(network))


def test_response_has_as_many_parameters_as_the_official_one(name):
    network = build(name)
    model = stn.SelfTuningModel(network)
    n = len(model.hyperparameters)
    assert n == COUNTS[name][1]
    count = COUNTS[name][0]
    for layer in find_layers(network):
        if not isinstance(layer, ResponseLayer):
            continue
        units = layer.kernel.shape[-1]
        # The official gates: a linear map of the hyperparameters to two
        # numbers a unit, the second unused in layers without bias.
        count += np.prod(layer.kernel.shape) + units * n
        if layer.use_bias:
            count += units + units * n
    # Location and scale of each hyperparameter, and the networks' own.
    assert model.count_params() == count + 2 * n


def test_alexnet_of_another_width_keeps_its_hyperparameters():
    network = applications.alexnet(width=0.25)
    filters = [
        layer.filters for layer in network.layers if "conv2d" in layer.name
    ]
    assert filters == [16, 48, 96, 64, 64]
    assert len(find_declarations(network)) == 15
    with pytest.raises(ValueError, match="`width` must be at least"):
        applications.alexnet(width=0.01)


def test_alexnet_has_the_official_number_of_parameters():
    """As the official constructors count: weights, responses and gates."""
    filters = [3, 64, 192, 384, 256, 256]
    units = [256 * 2 * 2, 4096, 4096, 10]
    shapes = [(9 * a, b) for a, b in zip(filters, filters[1:])]
    shapes += list(zip(units, units[1:]))
    ordinary = sum(a * b + b for a, b in shapes)
    gates = sum(15 * 2 * b for _, b in shapes)
    model = stn.SelfTuningModel(applications.alexnet())
    assert ordinary == 23_272_266
    assert model.network.count_params() == 2 * ordinary + gates


@pytest.mark.parametrize(
    "name, file", [("small_cnn", "small"), ("alexnet", "alexnet")]
)
def test_ranges_and_starts_are_the_official_ones(name, file):
    arrays = load_reference(f"start_cnn_{file}_f32")
    official = {
        name: values
        for name, *values in zip(
            arrays["names"],
            arrays["range_min"],
            arrays["range_max"],
            arrays["discrete"],
            arrays["htensor"],
            arrays["hscale"],
        )
    }
    declarations = find_declarations(build(name))
    assert len(declarations) == len(official)
    # As `preset="paper"` makes it.
    space = HyperparameterSpace(declarations)
    scales = dict(zip(space.names, np.array(space.scale)))
    for h in declarations:
        low, high, discrete, location, raw_scale = official[
            OFFICIAL_NAMES.get(h.name, h.name)
        ]
        assert h.low == low
        assert isinstance(h, stn.Int) == bool(discrete)
        scale = np.log1p(np.exp(raw_scale))
        assert scales[h.name] == pytest.approx(scale, rel=1e-6)
        if discrete:
            # An `Int` reaches its largest value and starts within its step.
            assert h.high == high + 1
            continue
        assert h.unconstrained_default == pytest.approx(location, rel=1e-5)
        # The hue in turns is half of Keras's factor.
        assert h.high == (2 * high if h.name == "hue" else high)


def test_int_starts_are_the_papers():
    values = {h.name: h.default for h in find_declarations(build("alexnet"))}
    assert (values["cutout_holes"], values["cutout_length"]) == (1, 4)


@pytest.mark.parametrize("name", ["small_cnn", "simple_cnn", "mlp"])
def test_fixed_network_draws_and_computes_what_the_tuned_one_does(name):
    images = small_images(build(name), batch_size=6)
    outputs = []
    for tuned in (True, False):
        keras.utils.set_random_seed(0)
        network = build(name, tuned=tuned)
        source = network if not outputs else outputs[0][0]
        kernels = [w for w in source.weights if w.name in ("kernel", "bias")]
        for weight, value in zip(
            [w for w in network.weights if w.name in ("kernel", "bias")],
            kernels,
        ):
            weight.assign(value)
        generators = [
            v for v in network.variables if v.name == "seed_generator_state"
        ]
        for i, state in enumerate(generators):
            state.assign([1, i])
        if name != "mlp":
            # Centres are drawn for as many holes as there may be.
            network.get_layer("cutout").max_holes = 5
        outputs.append((network, network(images, training=True)))
    np.testing.assert_allclose(outputs[0][1], outputs[1][1], atol=1e-4)


def test_values_are_where_a_tuned_network_starts():
    values = {"dropout_conv_1": 0.4, "cutout_holes": 3}
    declarations = find_declarations(build("small_cnn", values=values))
    starts = {h.name: h.default for h in declarations}
    assert starts["dropout_conv_1"] == 0.4
    assert starts["cutout_holes"] == 3
    assert starts["hue"] == 0.1


def test_values_are_what_a_fixed_network_uses():
    values = {"dropout_conv_1": 0.4, "cutout_holes": 3}
    network = build("small_cnn", values=values, tuned=False)
    assert network.get_layer("dropout_conv_1").rate == 0.4
    assert network.get_layer("cutout").holes == 3
    assert network.get_layer("cutout").length == 4


def test_values_of_a_tuned_model_can_be_held_fixed(name):
    model = stn.SelfTuningModel(build(name))
    network = build(name, values=model.hyperparameter_values(), tuned=False)
    y = to_numpy(network(small_images(network), training=True))
    assert np.isfinite(y).all()


def test_unknown_name_gets_a_sentence(name):
    with pytest.raises(ValueError, match=r"Received: \['drop'\]"):
        build(name, values={"drop": 0.1})


def test_only_named_hyperparameters_are_tuned():
    names = ["dropout_conv_2", "cutout_holes"]
    values = {"dropout_conv_2": 0.3, "hue": 0.4}
    network = build("small_cnn", values=values, tuned=names)
    starts = {h.name: h.default for h in find_declarations(network)}
    assert starts == {"cutout_holes": 1, "dropout_conv_2": 0.3}
    assert network.get_layer("dropout_conv_1").rate == 0.05
    with pytest.raises(ValueError, match=r"`tuned` names .*\['drop'\]"):
        build("small_cnn", tuned=["drop"])


def test_value_out_of_range_gets_a_sentence():
    with pytest.raises(ValueError, match="Received: default=2.0"):
        build("small_cnn", values={"hue": 2.0})
    with pytest.raises(ValueError, match="Received: factor=2.0"):
        build("small_cnn", values={"hue": 2.0}, tuned=False)


def test_other_images_and_classes_are_taken():
    network = build("small_cnn", input_shape=(40, 24, 3), classes=7)
    assert network(small_images(network)).shape == (4, 7)


def test_network_trains_and_tunes():
    network = build("small_cnn")
    model = stn.SelfTuningModel(network)
    model.compile(
        keras.optimizers.SGD(0.01),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    x, y = small_images(network, 32), np.arange(32) % 10
    before = to_numpy(keras.ops.copy(model.hyperparameters.location))
    model.fit(x, y, validation_data=(x, y), batch_size=16, verbose=0)
    after = to_numpy(keras.ops.copy(model.hyperparameters.location))
    assert np.isfinite(after).all()
    assert np.all(after != before)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(COUNTS.keys() - {"small_cnn"}))
def test_large_network_trains_tunes_and_loads(name, tmp_path):
    network = build(name)
    model = stn.SelfTuningModel(network)
    model.compile(
        keras.optimizers.SGD(0.01),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    x, y = small_images(network, 16), np.arange(16) % 10
    history = model.fit(x, y, validation_data=(x, y), batch_size=8, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(x), model(x), rtol=1e-5, atol=1e-5)
