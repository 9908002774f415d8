"""Training under a `tf.distribute` strategy, on two devices made of one CPU."""

import keras
import numpy as np
import pytest

from keras_stn.schedules.records import read_records
from tests.models import distribution_program
from tests.programs import run_program


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What the cases have written, which a program runs one by one."""
    folder = tmp_path_factory.mktemp("distribution")
    run_program(
        distribution_program,
        folder,
        "one_and_two_devices",
        "uneven",
        "subclassed",
        "loss_side",
    )
    return folder


def read(path):
    with np.load(path) as file:
        return dict(file)


def part(results, prefix):
    """The arrays whose names begin with `prefix/`, without it."""
    prefix = f"{prefix}/"
    return {
        key.removeprefix(prefix): array
        for key, array in results.items()
        if key.startswith(prefix)
    }


def assert_close(actual, expected, tolerance=1e-5):
    assert actual.keys() == expected.keys() != set()
    for key, array in expected.items():
        np.testing.assert_allclose(
            actual[key], array, rtol=tolerance, atol=tolerance, err_msg=key
        )


def moves(results, start, end):
    """How far every weight moved."""
    return [
        np.linalg.norm(array - part(results, start)[key])
        for key, array in part(results, end).items()
    ]


@pytest.fixture(scope="module")
def devices(folder):
    """The results of one run on one device and on two."""
    return read(folder / "one_and_two_devices.npz")


def test_two_devices_train_as_one(devices):
    *weights, location, raw_scale = moves(devices, "start", "two/state")
    assert min(weights) > 1e-5
    assert min(location, raw_scale) > 0.01
    assert_close(part(devices, "two/state"), part(devices, "one/state"))


def test_two_devices_log_as_one(devices):
    logs = part(devices, "two/logs")
    assert {"loss", "tuning_loss", "factor", "factor_scale"} <= logs.keys()
    np.testing.assert_array_equal(logs["count"], [32, 32])
    assert_close(logs, part(devices, "one/logs"))


def test_two_devices_evaluate_and_predict_as_one(devices):
    for name in ("evaluation", "predictions"):
        np.testing.assert_allclose(
            devices[f"two/{name}"], devices[f"one/{name}"], rtol=1e-5, atol=1e-5
        )


def test_model_is_loaded_under_the_strategy_and_trained_on(devices):
    for name in ("state", "optimizers"):
        assert_close(
            part(devices, f"loaded/{name}"), part(devices, f"two/{name}"), 0
        )
    assert_close(part(devices, "loaded/more"), part(devices, "two/more"))


def test_model_trained_under_a_strategy_is_loaded_without_one(devices, folder):
    model = keras.models.load_model(folder / "model.keras")
    assert_close(
        distribution_program.state(model), part(devices, "two/state"), 0
    )
    assert_close(
        distribution_program.optimizer_state(model),
        part(devices, "two/optimizers"),
        0,
    )
    np.testing.assert_allclose(
        model.predict(distribution_program.X[:31], verbose=0),
        devices["two/predictions"],
        rtol=1e-5,
        atol=1e-5,
    )


def test_two_devices_log_the_schedule_of_one(folder):
    one, two = (read_records(folder / f"{name}.csv") for name in ("one", "two"))
    assert list(one) == list(two)
    assert two["factor"][-1] != two["factor"][0]
    # In an epoch, Keras's logs hold the mean of the replicas' counts.
    for name in one.keys() - {"wall_time", "count"}:
        np.testing.assert_allclose(one[name], two[name], 1e-4, 1e-5, name)


@pytest.fixture(scope="module")
def uneven(folder):
    return read(folder / "uneven.npz")


@pytest.mark.parametrize(
    ("case", "examples"), [("five_left", 13), ("one_left", 9)]
)
def test_no_example_of_an_uneven_batch_is_lost(uneven, case, examples):
    logs = part(uneven, f"{case}/logs")
    assert logs["count"] == examples
    hits = logs["accuracy"] * examples
    np.testing.assert_allclose(hits, np.round(hits), atol=1e-4)


@pytest.mark.parametrize("case", ["five_left", "one_left"])
def test_losses_of_uneven_batches_are_finite(uneven, case):
    logs = part(uneven, f"{case}/logs")
    assert logs["skipped_tuning_steps"] == 0
    for name in ("loss", "tuning_loss"):
        assert 0 < logs[name] < 10


def test_skipped_tuning_step_counts_once(uneven):
    assert part(uneven, "skipped/logs")["skipped_tuning_steps"] == 1


def test_optimizer_clips_gradients_under_a_strategy(uneven):
    # Keras clips on each of the two devices, in each of the four steps. λ and
    # the scales, the last two, have optimizers of their own.
    *weights, location, raw_scale = moves(uneven, "start", "end")
    assert 1e-4 < max(weights) < 8.01e-3
    assert min(location, raw_scale) > 0.01


@pytest.fixture(scope="module")
def subclassed(folder):
    return read(folder / "subclassed.npz")


@pytest.mark.parametrize("strategy", ["one", "two"])
def test_subclassed_network_trains_as_without_strategy(subclassed, strategy):
    for name in ("state", "logs"):
        assert_close(
            part(subclassed, f"{strategy}/{name}"),
            part(subclassed, f"none/{name}"),
        )


@pytest.fixture(scope="module")
def loss_side(folder):
    return read(folder / "loss_side.npz")


def test_tuned_penalties_and_smoothing_train_as_on_one_device(loss_side):
    logs = part(loss_side, "two/logs")
    assert logs["l2"][0] != logs["l2"][1]
    assert logs["smoothing"][0] != logs["smoothing"][1]
    assert_close(logs, part(loss_side, "one/logs"))
    assert_close(part(loss_side, "two/state"), part(loss_side, "one/state"))
    np.testing.assert_allclose(
        loss_side["two/evaluation"], loss_side["one/evaluation"], rtol=1e-5
    )


def test_training_on_two_devices_ends_at_averaged_hyperparameters(loss_side):
    location, average = loss_side["mixed/location"], loss_side["mixed/average"]
    np.testing.assert_array_equal(location, average)
    assert np.abs(location).min() > 0


def test_mixing_layers_train_on_two_devices(loss_side):
    logs = part(loss_side, "mixed/logs")
    assert np.isfinite(logs["loss"]) and logs["skipped_tuning_steps"] == 0


@pytest.mark.slow
def test_two_and_four_devices_draw_as_one(tmp_path):
    names = [f"random_on_{number}" for number in ("one", "two", "four")]
    # One of four devices gets nothing of a batch of 6, which TensorFlow's
    # convolutions by oneDNN cannot take.
    run_program(
        distribution_program, tmp_path, *names, TF_ENABLE_ONEDNN_OPTS="0"
    )
    one, two, four = (read(tmp_path / f"{name}.npz") for name in names)
    assert len(set(part(one, "logs")["loss"])) == 3
    assert_close(two, one, 1e-4)
    assert_close(four, one, 1e-4)
    for name, results in {"one": one, "two": two, "four": four}.items():
        model = keras.models.load_model(tmp_path / f"{name}.keras")
        state = distribution_program.state(model)
        assert_close(state, part(results, "state"), 0)
