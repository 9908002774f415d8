"""The space of hyperparameters beside the official implementations'."""

import numpy as np
import pytest
import tensorflow as tf

import keras_stn as stn
from keras_stn.hyperparameters import HyperparameterSpace
from tests.numerics import to_numpy
from tests.numerics import value_and_gradients
from tests.reference_arrays import load_reference

HYPERPARAMS = ["hyperparams_s201", "hyperparams_s202", "hyperparams_s203"]
STARTS = [
    "start_cnn_small_f32",
    "start_cnn_alexnet_f32",
    "start_cnn_alexnet_f64",
    "start_lstm_none",
    "start_lstm_sigmoid",
]
CLOSE = {"rtol": 1e-5, "atol": 2e-6}


def gradients(space, function):
    """The value of `function()` and its gradients to λ and raw scales."""
    return value_and_gradients(function, [space.location, space.raw_scale])


def official_space(arrays):
    """A space with the declarations and the state of an official one."""
    declarations = []
    for i, name in enumerate(arrays["names"]):
        low, high = arrays["range_min"][i], arrays["range_max"][i]
        arguments = {
            "min_value": float(low) if np.isfinite(low) else None,
            "max_value": float(high) if np.isfinite(high) else None,
            "per_example": bool(arrays["minibatch"][i]),
        }
        kind = stn.Float
        if arrays["discrete"][i]:
            kind = stn.Int
            # The official range is not widened by a step.
            if np.isfinite(high):
                arguments["max_value"] -= 1
        declarations.append(kind(str(name), **arguments))
    space = HyperparameterSpace(declarations)
    space.location.assign(arrays["htensor"])
    space.raw_scale.assign(arrays["hscale"])
    return space


@pytest.mark.parametrize("file", HYPERPARAMS)
class TestOfficialHyperparameters:
    def test_perturbation_of_shared_columns(self, file):
        arrays = load_reference(file)
        space = official_space(arrays)
        sample = space.sample(noise=np.float32(arrays["noise_hdict"]))
        np.testing.assert_allclose(
            to_numpy(sample.response_inputs), arrays["perturbed_hdict"], **CLOSE
        )

    def test_perturbation_and_its_gradients(self, file):
        arrays = load_reference(file)
        own = dict(arrays, minibatch=np.ones(len(arrays["names"])))
        space = official_space(own)
        noise = np.float32(arrays["noise_plain"])
        np.testing.assert_allclose(
            to_numpy(space.sample(noise=noise).response_inputs),
            arrays["perturbed_plain"],
            **CLOSE,
        )
        weights = np.float32(arrays["r_hparam"])
        _, (location, scale) = gradients(
            space,
            lambda: tf.reduce_sum(
                space.sample(noise=noise).response_inputs * weights
            ),
        )
        np.testing.assert_allclose(
            location, arrays["grad_plain/htensor"], **CLOSE
        )
        np.testing.assert_allclose(scale, arrays["grad_plain/hscale"], **CLOSE)

    def test_constrained_values(self, file):
        arrays = load_reference(file)
        space = official_space(arrays)
        sample = space.sample(noise=np.float32(arrays["noise_hdict"]))
        values = np.stack([to_numpy(sample[n]) for n in space.names], axis=1)
        np.testing.assert_allclose(values, arrays["hparam"], **CLOSE)

    def test_gradients_of_constrained_values(self, file):
        arrays = load_reference(file)
        space = official_space(arrays)
        noise = np.float32(arrays["noise_hdict"])
        weights = np.float32(arrays["r_hparam"])

        def loss():
            sample = space.sample(noise=noise)
            # An integer's value is rounded, and has no gradient.
            values = [sample[name] for name in space.names]
            return tf.reduce_sum(tf.stack(values, axis=1) * weights)

        _, (location, scale) = gradients(space, loss)
        # The stored gradients hold those of `hnet` too, which we do not have.
        d_location, d_scale = hnet_gradients(arrays)
        np.testing.assert_allclose(
            location + d_location, arrays["grad/htensor"], **CLOSE
        )
        np.testing.assert_allclose(
            scale + d_scale, arrays["grad/hscale"], **CLOSE
        )

    def test_entropy_and_its_gradient(self, file):
        arrays = load_reference(file)
        space = official_space(arrays)
        entropy, (location, scale) = gradients(space, space.entropy)
        np.testing.assert_allclose(entropy, arrays["entropy"], rtol=1e-5)
        np.testing.assert_array_equal(location, 0)
        np.testing.assert_allclose(
            scale, arrays["grad_entropy/hscale"], rtol=1e-5
        )

    def test_logs_are_official_statistics_but_for_rounding(self, file):
        arrays = load_reference(file)
        space = official_space(arrays)
        expected = dict(
            zip(arrays["hstats_names"].tolist(), arrays["hstats_values"])
        )
        discrete = arrays["names"][arrays["discrete"] == 1]
        for name in discrete.tolist():
            expected[name] = np.floor(expected[name])
        logs = to_numpy(space.logs())
        assert logs.keys() == expected.keys()
        for name, value in expected.items():
            assert logs[name] == pytest.approx(value, rel=1e-5), name


def hnet_gradients(arrays):
    """Gradients of sum(hnet(z) * r_hnet) to λ and the raw scales."""
    z = arrays["perturbed_hdict"]
    sigmoid = 1 / (1 + np.exp(-z))
    slopes = {
        "id": np.ones_like(z),
        "sigmoid": sigmoid * (1 - sigmoid),
        "softplus": sigmoid,
    }
    slope = np.stack(
        [slopes[str(f)][:, i] for i, f in enumerate(arrays["hnet_fn"])], axis=1
    )
    dz = slope * arrays["r_hnet"]
    noise = np.where(
        arrays["minibatch"] == 1,
        arrays["noise_hdict"],
        arrays["noise_hdict"][:1],
    )
    raw_slope = 1 / (1 + np.exp(-arrays["hscale"]))
    return dz.sum(0), (dz * noise).sum(0) * raw_slope


@pytest.mark.parametrize("file", STARTS)
def test_declared_start_equals_the_official_one(file):
    arrays = load_reference(file)
    discrete = arrays.get("discrete", np.zeros(len(arrays["names"]), int))
    # The official softplus of the raw scale is its rounded starting scale.
    scale = float(np.logaddexp(0, arrays["hscale"][0]))
    declarations = []
    for i, name in enumerate(arrays["names"]):
        low, high = arrays["range_min"][i], arrays["range_max"][i]
        arguments = {
            "default": round(float(arrays["hparam"][i]), 6),
            "scale": scale,
        }
        if discrete[i]:
            declaration = stn.Int(
                str(name), int(low), int(high) - 1, **arguments
            )
        else:
            high = float(high) if np.isfinite(high) else None
            declaration = stn.Float(str(name), float(low), high, **arguments)
        declarations.append(declaration)
    space = HyperparameterSpace(declarations)
    assert space.names == arrays["names"].tolist()
    np.testing.assert_allclose(
        space.raw_scale.numpy(), arrays["hscale"], rtol=1e-5
    )
    # The official integers do not start in the middle of a step.
    continuous = discrete == 0
    np.testing.assert_allclose(
        space.location.numpy()[continuous],
        arrays["htensor"][continuous],
        rtol=1e-5,
    )
    values = list(space.values().values())
    np.testing.assert_allclose(values, arrays["hparam"], rtol=1e-5)


def container_space(arrays, styles):
    """The columns of a Delta-STN container whose maps exist here."""
    columns = [
        i for i, style in enumerate(arrays["style"]) if str(style) in styles
    ]
    declarations = []
    for i in columns:
        name, style = str(arrays["names"][i]), str(arrays["style"][i])
        low, high = arrays["low"][i], arrays["high"][i]
        arguments = {
            "scale": float(arrays["scale"][i]),
            "per_example": not arrays["same_perturb_mb"][i],
        }
        if style == "exp":
            arguments["sampling"] = "log"
        else:
            arguments["min_value"] = float(low) if np.isfinite(low) else None
            arguments["max_value"] = float(high) if np.isfinite(high) else None
        if arrays["discrete"][i]:
            if arguments["max_value"] is not None:
                arguments["max_value"] -= 1
            declarations.append(stn.Int(name, **arguments))
        else:
            arguments["default"] = float(arrays["value"][i])
            declarations.append(stn.Float(name, **arguments))
    return columns, HyperparameterSpace(declarations)


@pytest.mark.parametrize(
    "file, styles, names",
    [
        (
            "delta_container_s301",
            ("s_sigmoid", "lower_softplus", "linear", "exp"),
            ["dropout0", "cutout_length", "l2", "lin", "expo"],
        ),
        ("delta_container_s302", ("sigmoid", "softplus"), ["sig", "sp"]),
    ],
)
class TestDeltaContainer:
    def test_start(self, file, styles, names):
        arrays = load_reference(file)
        columns, space = container_space(arrays, styles)
        assert space.names == names
        continuous = arrays["discrete"][columns] == 0
        for ours, official in (
            (space.location, "h_tensor"),
            (space.raw_scale, "h_scale"),
        ):
            np.testing.assert_allclose(
                ours.numpy()[continuous],
                arrays[official][columns][continuous],
                rtol=1e-5,
            )

    def test_perturbed_values_and_gradients(self, file, styles, names):
        arrays = load_reference(file)
        columns, space = container_space(arrays, styles)
        space.location.assign(arrays["h_tensor"][columns])
        noise = np.float32(arrays["noise"][:, columns])
        weights = np.float32(arrays["r"][:, columns])
        sample = space.sample(noise=noise)
        np.testing.assert_allclose(
            to_numpy(sample.response_inputs),
            arrays["perturbed"][:, columns],
            **CLOSE,
        )
        values = np.stack([to_numpy(sample[n]) for n in names], axis=1)
        np.testing.assert_allclose(
            values, arrays["transform_perturbed"][:, columns], **CLOSE
        )

        def loss():
            sample = space.sample(noise=noise)
            values = [sample[name] for name in names]
            return tf.reduce_sum(tf.stack(values, axis=1) * weights)

        _, (location, scale) = gradients(space, loss)
        np.testing.assert_allclose(
            location, arrays["grad/h_tensor"][columns], **CLOSE
        )
        np.testing.assert_allclose(
            scale, arrays["grad/h_scale"][columns], **CLOSE
        )
