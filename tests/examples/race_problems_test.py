import importlib
import pathlib

import keras
import numpy as np
import pytest

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"
PROBLEMS = [
    ("sample", 3),
    ("fashion_mnist", 11),
    ("fashion_mnist", 15),
    ("cifar10", 3),
    ("cifar10", 11),
    ("cifar10", 15),
    ("brown", 3),
]


@pytest.fixture
def problems(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module("race_problems")


@pytest.mark.parametrize("dataset, count", PROBLEMS)
def test_network_asks_for_every_hyperparameter_once(problems, dataset, count):
    problem = problems.Problem(dataset, count)
    asked = []

    class Asked(problems.Values):
        def Float(self, name, low, high, **settings):
            asked.append((name, low, high))
            return super().Float(name, low, high, **settings)

    model = problem.build(Asked())
    assert asked == [
        (name, one.low, one.high) for name, one in problem.ranges.items()
    ]
    assert len(asked) == count
    assert all(
        type(layer).__module__.startswith("keras.") for layer in model.layers
    )


@pytest.mark.parametrize("dataset, count", PROBLEMS)
def test_self_tuning_tunes_every_value_of_a_problem(problems, dataset, count):
    keras_tuner = pytest.importorskip("keras_tuner")
    tuned_build = importlib.import_module("keras_stn.tuners.tuned_build")
    problem = problems.Problem(dataset, count)
    hp = keras_tuner.HyperParameters()
    found = tuned_build.build_tuned(problem.build, hp)
    assert found.left == {}
    assert {*found.tuned} == {*problem.ranges}
    for name, one in problem.ranges.items():
        tuned = found.tuned[name]
        assert (tuned.low, tuned.high) == (one.low, one.high)
        assert tuned.default == one.default


def test_ranges_are_walked_through_on_their_own_scale(problems):
    linear = problems.Range(0.0, 0.9, 0.05)
    log = problems.Range(1e-7, 1e-2, 1e-6, "log")
    assert linear.from_unit(0.5) == pytest.approx(0.45)
    assert log.from_unit(0.5) == pytest.approx(10**-4.5)
    for one in (linear, log):
        assert one.to_unit(one.from_unit(0.25)) == pytest.approx(0.25)


def test_text_has_no_more_than_three_hyperparameters(problems):
    with pytest.raises(ValueError, match=r"has 3 hyper.* Received: 11$"):
        problems.Problem("brown", 11)


def test_sample_is_bytes_between_black_and_white(problems):
    training, validation, test = problems.Problem("sample", 3).load()
    assert [len(x) for x, _ in (training, validation, test)] == [
        2000,
        1000,
        2000,
    ]
    assert training[0].dtype == np.uint8
    assert training[0].min() == 0
    assert training[0].max() == 255


def test_segments_of_text_are_followed_by_their_next_words(
    monkeypatch, problems, tmp_path
):
    monkeypatch.setattr(problems, "SEGMENT", 2)
    for part in ("train", "valid", "test"):
        (tmp_path / f"{part}.txt").write_text("the cat saw the dog\n")
    (x, y), _, _ = problems.Problem("brown", 3).load(tmp_path)
    assert x.tolist() == [[1, 2], [3, 1]]
    assert y.tolist() == [[2, 3], [1, 4]]


def test_monitored_loss_has_no_penalties(problems):
    problem = problems.Problem("cifar10", 15)
    model = problem.build(problems.Values({"l2_dense": 0.01}))
    x = np.zeros((4, 32, 32, 3), "uint8")
    y = np.zeros(4, "int32")
    logs = model.evaluate(x, y, verbose=0, return_dict=True)
    loss = keras.losses.sparse_categorical_crossentropy(
        y, model.predict(x, verbose=0), from_logits=True
    )
    monitored = logs[problems.MONITOR.removeprefix("val_")]
    assert monitored == pytest.approx(float(loss[0]), rel=1e-5)
    assert logs["loss"] > monitored + 0.1
