import keras
import numpy as np
import pytest
from keras import ops

from keras_stn.layers.augmentation.mixing_layer import LabelMix
from keras_stn.models.label_mixing import components
from keras_stn.models.label_mixing import mix_labels

RNG = np.random.default_rng(0)
LABELS = np.array([0, 2, 1, 2])
PREDICTIONS = RNG.normal(size=(4, 3)).astype("float32")
WEIGHTS = np.float32([1.0, 0.5, 2.0, 0.0])


def make_mix(seed=1):
    rng = np.random.default_rng(seed)
    partners = rng.permutation(4)
    shares = rng.uniform(size=4).astype("float32")
    return LabelMix(
        ops.convert_to_tensor(partners), ops.convert_to_tensor(shares)
    )


def matrix(mix):
    """The mix as a matrix: row i tells what example i is made of."""
    return (
        np.diag(mix.weights)
        + np.diag(1 - mix.weights) @ np.eye(4)[np.array(mix.partners)]
    )


def make_loss(reduction="sum_over_batch_size"):
    return keras.losses.CategoricalCrossentropy(True, reduction=reduction)


def one_hot(labels):
    return np.eye(3, dtype="float32")[labels]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_mixes_after_each_other_compose(count):
    mixes = [make_mix(seed) for seed in range(count)]
    expected = np.eye(4)
    for mix in mixes:
        expected = matrix(mix) @ expected
    mixed = np.zeros((4, 4))
    for indices, shares in components(mixes, 4):
        mixed += np.diag(shares) @ np.eye(4)[np.array(indices)]
    np.testing.assert_allclose(mixed, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum"])
def test_the_loss_is_that_of_mixed_one_hot_labels(count, reduction):
    mixes = [make_mix(seed) for seed in range(count)]
    loss = make_loss(reduction)
    y, y_pred, weight, copies = mix_labels(
        mixes, one_hot(LABELS), PREDICTIONS, None, loss
    )
    labels = one_hot(LABELS)
    for mix in mixes:
        labels = matrix(mix) @ labels
    assert copies == 2**count
    np.testing.assert_allclose(
        loss(y, y_pred, weight), loss(labels, PREDICTIONS), rtol=1e-5
    )


@pytest.mark.parametrize(
    "reduction", ["sum_over_batch_size", "sum", "mean_with_sample_weight"]
)
def test_each_label_brings_its_own_weight(reduction):
    mix = make_mix()
    loss = make_loss(reduction)
    y, y_pred, weight, _ = mix_labels(
        [mix], one_hot(LABELS), PREDICTIONS, WEIGHTS, loss
    )
    partners = np.array(mix.partners)
    losses = make_loss(None)
    own = losses(one_hot(LABELS), PREDICTIONS)
    other = losses(one_hot(LABELS[partners]), PREDICTIONS)
    shares = np.array(mix.weights)
    own_weights, other_weights = (
        shares * WEIGHTS,
        (1 - shares) * WEIGHTS[partners],
    )
    total = np.sum(own_weights * own + other_weights * other)
    divisor = {
        "sum_over_batch_size": 4,
        "sum": 1,
        "mean_with_sample_weight": np.sum(own_weights + other_weights),
    }[reduction]
    np.testing.assert_allclose(
        loss(y, y_pred, weight), total / divisor, rtol=1e-5
    )


def test_sparse_labels_mix_like_one_hot_ones():
    sparse = keras.losses.SparseCategoricalCrossentropy(True)
    losses = [
        loss(*mix_labels([make_mix()], labels, PREDICTIONS, None, loss)[:3])
        for loss, labels in ((sparse, LABELS), (make_loss(), one_hot(LABELS)))
    ]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-6)


def test_predictions_at_several_positions_mix():
    predictions = RNG.normal(size=(4, 5, 3)).astype("float32")
    labels = RNG.integers(0, 3, size=(4, 5))
    mix = make_mix()
    loss = make_loss()
    sparse = keras.losses.SparseCategoricalCrossentropy(True)
    mixed = np.einsum("ij,jtc->itc", matrix(mix), one_hot(labels))
    y, y_pred, weight, _ = mix_labels([mix], labels, predictions, None, sparse)
    np.testing.assert_allclose(
        sparse(y, y_pred, weight), loss(mixed, predictions), rtol=1e-5
    )


def test_masks_of_predictions_are_kept():
    predictions = ops.convert_to_tensor(PREDICTIONS)
    predictions._keras_mask = ops.convert_to_tensor([True, True, True, False])
    _, y_pred, _, _ = mix_labels([make_mix()], LABELS, predictions, None, "mse")
    np.testing.assert_array_equal(
        y_pred._keras_mask, [True, True, True, False] * 2
    )


def test_nested_labels_and_predictions_mix():
    y = {"a": LABELS, "b": one_hot(LABELS)}
    y_pred = {"a": PREDICTIONS, "b": np.stack([PREDICTIONS] * 2, 1)}
    labels, predictions, weights, _ = mix_labels(
        [make_mix()], y, y_pred, None, {"a": "mse", "b": "mae"}
    )
    assert labels["a"].shape == (8,) and labels["b"].shape == (8, 3)
    assert predictions["b"].shape == (8, 2, 3)
    assert weights["a"].shape == (8,) and weights["b"].shape == (8, 1)


def test_means_and_sums_together_are_refused():
    with pytest.raises(ValueError, match="same `reduction`"):
        mix_labels(
            [make_mix()],
            [LABELS, LABELS],
            [PREDICTIONS, PREDICTIONS],
            None,
            [make_loss("sum"), "mse"],
        )
