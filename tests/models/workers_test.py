"""Training in two processes under a `tf.distribute` strategy."""

import os

import keras
import numpy as np
import pytest

from keras_stn.schedules.records import read_records
from tests.models import workers_program
from tests.models.distribution_program import X
from tests.models.distribution_program import state
from tests.models.distribution_test import assert_close
from tests.models.distribution_test import moves
from tests.models.distribution_test import part
from tests.models.distribution_test import read
from tests.programs import run_program


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What two workers have written, and one process that trained alone."""
    folder = tmp_path_factory.mktemp("workers")
    run_program(workers_program, folder, "train")
    return folder


@pytest.fixture(scope="module")
def alone(folder):
    return read(folder / "train_alone.npz")


@pytest.fixture(scope="module", params=["0", "1"])
def worker(folder, request):
    """What one of the workers has written."""
    return read(folder / f"train_{request.param}.npz")


def test_workers_train_as_one_process(worker, alone):
    *weights, location, raw_scale = moves(worker, "start", "state")
    assert min(weights) > 1e-5
    assert location > 0.01 and raw_scale > 1e-4
    assert_close(part(worker, "state"), part(alone, "state"))


def test_workers_log_as_one_process(worker, alone):
    logs = part(worker, "logs")
    assert {"loss", "tuning_loss", "dropout", "val_loss"} <= logs.keys()
    np.testing.assert_array_equal(logs["count"], [32, 32])
    np.testing.assert_array_equal(logs["val_count"], [16, 16])
    assert_close(logs, part(alone, "logs"))


@pytest.mark.parametrize("name", ["evaluation", "predictions"])
def test_workers_evaluate_and_predict_as_one_process(worker, alone, name):
    np.testing.assert_allclose(worker[name], alone[name], rtol=1e-5, atol=1e-5)


def test_all_workers_end_with_the_same_bits(folder):
    first, second = (read(folder / f"train_{i}.npz") for i in range(2))
    assert_close(first, second, 0)


def test_a_worker_loads_the_model_that_it_saved(worker):
    assert_close(part(worker, "loaded"), part(worker, "state"), 0)


def test_a_model_trained_by_workers_is_loaded_without_them(folder, alone):
    model = keras.models.load_model(folder / "1.keras")
    assert_close(state(model), part(alone, "state"))
    np.testing.assert_allclose(
        model.predict(X[:31], verbose=0),
        alone["predictions"],
        rtol=1e-5,
        atol=1e-5,
    )


def test_the_schedule_of_the_workers_is_written_once(folder):
    workers, alone = (
        read_records(folder / f"{name}.csv") for name in ("workers", "alone")
    )
    assert list(workers) == list(alone)
    np.testing.assert_array_equal(workers["step"], [0, 2, 4, 6, 8])
    # In an epoch, Keras's logs hold the mean of the workers' counts.
    for name in alone.keys() - {"wall_time", "count"}:
        np.testing.assert_allclose(
            workers[name], alone[name], 1e-4, 1e-5, err_msg=name
        )


@pytest.mark.slow
def test_no_example_of_an_uneven_batch_is_lost(tmp_path):
    run_program(workers_program, tmp_path, "uneven")
    first, second = (read(tmp_path / f"uneven_{i}.npz") for i in range(2))
    assert_close(first, second, 0)
    for examples in (31, 9):
        logs = part(first, f"{examples}/logs")
        assert logs["count"] == examples
        assert logs["val_count"] == 11
        assert logs["skipped_tuning_steps"] == 0
        for name in ("loss", "tuning_loss", "val_loss"):
            assert 0 < logs[name] < 10


@pytest.mark.slow
def test_workers_resume_when_one_has_died(tmp_path):
    undisturbed, disturbed = tmp_path / "undisturbed", tmp_path / "disturbed"
    undisturbed.mkdir()
    disturbed.mkdir()
    run_program(workers_program, undisturbed, "resume")
    with pytest.raises(AssertionError, match="UnavailableError"):
        run_program(workers_program, disturbed, "die")
    assert sorted(os.listdir(disturbed / "backup")) == ["worker_0", "worker_1"]
    run_program(workers_program, disturbed, "resume")
    for i in range(2):
        expected = read(undisturbed / f"resume_{i}.npz")
        assert len(expected["logs/dropout"]) == 3
        assert_close(read(disturbed / f"resume_{i}.npz"), expected, 0)
    expected = read_records(undisturbed / "schedule.csv")
    actual = read_records(disturbed / "schedule.csv")
    for name in expected.keys() - {"wall_time"}:
        np.testing.assert_array_equal(actual[name], expected[name], name)
    # Those of a training that has ended are deleted.
    assert not (disturbed / "backup").exists()
