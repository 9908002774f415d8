"""What every loss with a tunable label smoothing must do."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_stn as stn
from keras_stn.hyperparameters.step import Step
from keras_stn.hyperparameters.step import entered
from tests.layers.samples import sample_at
from tests.numerics import value_and_gradients

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(6, 3)).astype("float32")
CLASSES = RNG.integers(0, 3, size=6)
ONE_HOT = np.eye(3, dtype="float32")[CLASSES]
SMOOTHING = stn.Float("smoothing", 0.0, 0.5, default=0.1)

CASES = {
    "CategoricalCrossentropy": (ONE_HOT, keras.losses.CategoricalCrossentropy),
    "SparseCategoricalCrossentropy": (
        CLASSES,
        keras.losses.CategoricalCrossentropy,
    ),
    "BinaryCrossentropy": (ONE_HOT, keras.losses.BinaryCrossentropy),
}


class Case:
    """Makes losses of one line of `CASES`, on logits."""

    def __init__(self, name):
        self.cls = getattr(stn.losses, name)
        self.labels, self.keras_class = CASES[name]

    def make(self, smoothing=SMOOTHING, reduction=None, **kwargs):
        return self.cls(
            from_logits=True,
            label_smoothing=smoothing,
            reduction=reduction,
            **kwargs,
        )

    def by_keras(self, smoothing):
        """The losses of the examples, each with its own smoothing."""
        smoothing = np.broadcast_to(smoothing, 6)
        return np.concatenate(
            [
                self.keras_class(True, label_smoothing=s, reduction=None)(
                    ONE_HOT[i : i + 1], LOGITS[i : i + 1]
                )
                for i, s in enumerate(smoothing.tolist())
            ]
        )


@pytest.fixture(params=CASES)
def case(request):
    return Case(request.param)


def step(kind="training", values=(0.1, 0.2, 0.4)):
    return entered(Step(kind, None, sample_at(SMOOTHING, values)))


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_numbers_give_the_loss_of_keras(case, smoothing):
    losses = case.make(smoothing)(case.labels, LOGITS)
    np.testing.assert_allclose(losses, case.by_keras(smoothing), rtol=1e-5)
    loss = case.make(smoothing, "sum_over_batch_size")(case.labels, LOGITS)
    np.testing.assert_allclose(loss, np.mean(losses), rtol=1e-5)


@pytest.mark.parametrize("from_logits", [True, False])
def test_sparse_labels_without_smoothing_give_the_loss_of_keras(from_logits):
    predictions = LOGITS if from_logits else ops.softmax(LOGITS)
    for labels in (CLASSES, CLASSES[:, None]):
        losses = stn.losses.SparseCategoricalCrossentropy(from_logits)
        expected = keras.losses.SparseCategoricalCrossentropy(from_logits)
        assert losses(labels, predictions) == expected(labels, predictions)


def test_probabilities_are_smoothed_as_logits_are(case):
    activation = ops.softmax
    if case.cls is stn.losses.BinaryCrossentropy:
        activation = ops.sigmoid
    loss = case.cls(label_smoothing=0.3, reduction=None)
    np.testing.assert_allclose(
        loss(case.labels, activation(LOGITS)), case.by_keras(0.3), rtol=1e-4
    )


def test_each_group_has_its_own_smoothing(case):
    with step():
        losses = case.make()(case.labels, LOGITS)
    expected = case.by_keras([0.1, 0.1, 0.2, 0.2, 0.4, 0.4])
    np.testing.assert_allclose(losses, expected, rtol=1e-5)


def test_copies_of_the_batch_are_smoothed_alike(case):
    with step() as current:
        current.copies = 2
        losses = case.make()(
            np.concatenate([case.labels] * 2), np.concatenate([LOGITS] * 2)
        )
    expected = case.by_keras([0.1, 0.1, 0.2, 0.2, 0.4, 0.4])
    np.testing.assert_allclose(losses, np.tile(expected, 2), rtol=1e-5)


@pytest.mark.parametrize("kind", ["tuning", "evaluation"])
@pytest.mark.parametrize("smoothing", [SMOOTHING, 0.3])
def test_labels_are_true_in_tuning_and_evaluation(case, kind, smoothing):
    with step(kind):
        losses = case.make(smoothing)(case.labels, LOGITS)
    np.testing.assert_allclose(losses, case.by_keras(0.0), rtol=1e-5)


def test_without_a_model_the_smoothing_is_its_default(case):
    losses = case.make()(case.labels, LOGITS)
    np.testing.assert_allclose(losses, case.by_keras(0.1), rtol=1e-5)


def test_the_loss_is_differentiable_in_the_smoothing(case):
    values = ops.convert_to_tensor([0.1, 0.2, 0.4])
    loss = case.make(reduction="sum")

    def evaluate():
        sample = sample_at(SMOOTHING, values)
        with entered(Step("training", None, sample)):
            return loss(case.labels, LOGITS)

    _, (gradient,) = value_and_gradients(evaluate, [values])
    # The loss is linear in the smoothing.
    slopes = (case.by_keras(0.4) - case.by_keras(0.0)) / 0.4
    np.testing.assert_allclose(
        gradient, slopes.reshape(3, 2).sum(axis=1), rtol=1e-4
    )


def test_every_position_of_an_example_is_smoothed_alike(case):
    images = np.tile(LOGITS[:, None, :], (1, 4, 1))
    labels = np.stack([case.labels] * 4, axis=1)
    with step():
        losses = case.make()(labels, images)
    expected = case.by_keras([0.1, 0.1, 0.2, 0.2, 0.4, 0.4])
    np.testing.assert_allclose(
        losses, np.stack([expected] * 4, axis=1), rtol=1e-5
    )


def test_an_ignored_class_stays_ignored():
    loss = stn.losses.SparseCategoricalCrossentropy(
        True, ignore_class=-1, label_smoothing=0.3
    )
    labels = np.where(np.arange(6) < 4, CLASSES, -1)
    expected = stn.losses.CategoricalCrossentropy(True, label_smoothing=0.3)(
        ONE_HOT[:4], LOGITS[:4]
    )
    np.testing.assert_allclose(loss(labels, LOGITS), expected, rtol=1e-5)


@pytest.mark.parametrize("smoothing", [-0.1, 1.0, stn.Float("s", -0.5, 0.5)])
def test_a_smoothing_out_of_range_is_refused(case, smoothing):
    with pytest.raises(ValueError, match="label_smoothing.*Received"):
        case.make(smoothing)


def test_the_configuration_gives_the_loss_back(case):
    loss = case.make(reduction="sum", name="mine", axis=-1)
    config = keras.losses.serialize(loss)
    again = keras.losses.deserialize(config)
    assert again.declarations == [SMOOTHING]
    assert keras.losses.serialize(again) == config
    assert again.get_config()["axis"] == -1
