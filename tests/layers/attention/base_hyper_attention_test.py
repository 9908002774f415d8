"""What every attention layer that responds to hyperparameters must do."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_stn.layers import response_layer
from tests.layers.attention.attention_cases import BATCH
from tests.layers.attention.attention_cases import SIZE
from tests.layers.attention.attention_cases import SOURCE
from tests.layers.attention.attention_cases import TARGET
from tests.layers.attention.attention_cases import N
from tests.layers.attention.attention_cases import draw
from tests.layers.attention.attention_cases import every_variant
from tests.layers.attention.attention_cases import inputs
from tests.layers.attention.attention_cases import make_rows
from tests.layers.attention.attention_cases import projections
from tests.layers.attention.attention_cases import rate
from tests.layers.samples import Providing
from tests.layers.samples import make_sample
from tests.numerics import to_numpy
from tests.numerics import value_and_gradients


def padding(length, seed=0):
    """Masks that leave every example its first position."""
    mask = np.random.default_rng(seed).random((BATCH, length)) < 0.6
    mask[:, 0] = True
    return mask


MASKS = {
    "none": {},
    "causal": {"use_causal_mask": True},
    "attention": {
        "attention_mask": np.tri(TARGET, SOURCE, 1, bool)[None].repeat(BATCH, 0)
    },
    "padding": {
        "query_mask": padding(TARGET),
        "value_mask": padding(SOURCE, 1),
    },
    "all": {
        "use_causal_mask": True,
        "value_mask": padding(SOURCE, 1),
        "key_mask": padding(SOURCE, 2),
        "attention_mask": np.tri(TARGET, SOURCE, 1, bool)[None],
    },
}


# Up to `use_bias`.
POSITIONS = {
    "multi_head": (2, 3, 4, 0.1, False),
    "group_query": (3, 4, 2, 0.1, False),
}


class TestBesideKeras:
    @every_variant
    def test_without_hyperparameters_equals_keras_layer(self, case, arguments):
        layer, keras_layer = case.pair(arguments)
        for name, masks in MASKS.items():
            for training in (False, True):
                y, expected = (
                    to_numpy(each(*inputs(), training=training, **masks))
                    for each in (layer, keras_layer)
                )
                np.testing.assert_array_equal(y, expected, err_msg=name)

    @every_variant
    def test_one_row_with_gates_of_zero_equals_keras_layer(
        self, case, arguments
    ):
        layer, keras_layer = case.pair(arguments)
        sample = make_sample(np.zeros((1, N)))
        for name in ("none", "causal", "all"):
            y, scores = layer(
                *inputs(),
                hyperparameters=sample,
                return_attention_scores=True,
                **MASKS[name],
            )
            expected, expected_scores = keras_layer(
                *inputs(), return_attention_scores=True, **MASKS[name]
            )
            np.testing.assert_allclose(
                *(to_numpy(y), to_numpy(expected)),
                rtol=1e-5,
                atol=1e-5,
                err_msg=name,
            )
            np.testing.assert_allclose(
                *(to_numpy(scores), to_numpy(expected_scores)),
                rtol=1e-5,
                atol=1e-6,
                err_msg=name,
            )

    def test_key_may_differ_from_value(self, case):
        shapes = [(None, TARGET, SIZE), (None, SOURCE, SIZE), (None, SOURCE, 7)]
        layer, keras_layer = case.pair({}, shapes=shapes)
        x = (*inputs(), draw(BATCH, SOURCE, 7, seed=2))
        np.testing.assert_array_equal(
            to_numpy(layer(*x)), to_numpy(keras_layer(*x))
        )
        sample = make_sample(np.zeros((1, N)))
        np.testing.assert_allclose(
            to_numpy(layer(*x, hyperparameters=sample)),
            to_numpy(keras_layer(*x)),
            rtol=1e-5,
            atol=1e-5,
        )

    # Keras's projections in grouped-query attention warn of masks.
    @pytest.mark.filterwarnings("ignore:.*passed an input with a mask")
    def test_mask_of_padded_embeddings_is_used(self, case):
        layer, keras_layer = case.pair({})
        masking = keras.layers.Masking()
        x = draw(BATCH, SOURCE, SIZE)
        x[:, 3:] = 0

        def network(attention):
            inputs = keras.Input((SOURCE, SIZE))
            masked = masking(inputs)
            return keras.Model(inputs, attention(masked, masked))

        expected = to_numpy(network(keras_layer)(x))
        np.testing.assert_array_equal(to_numpy(network(layer)(x)), expected)
        sample = make_sample(np.zeros((1, N)))
        y = to_numpy(Providing(network(layer), sample)(x))
        np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)

    def test_arguments_may_come_by_position(self, case):
        layer, keras_layer = (
            kind(*POSITIONS[case.name])
            for kind in (case.hyper_class, case.keras_class)
        )
        config = {**keras_layer.get_config(), "name": layer.name}
        assert layer.get_config() == config

    def test_regularizers_constraints_and_initializers_reach_projections(
        self, case
    ):
        class Norm(keras.constraints.Constraint):
            """Registered nowhere, as Keras allows."""

        layer = case.build(
            kernel_regularizer=keras.regularizers.L2(0.1),
            bias_constraint=Norm(),
            kernel_initializer="he_normal",
        )
        assert len(projections(layer)) == 4
        for projection in projections(layer):
            assert projection.kernel.regularizer.l2 == pytest.approx(0.1)
            assert isinstance(projection.bias.constraint, Norm)
            initializer = projection.kernel_initializer
            assert isinstance(initializer, keras.initializers.HeNormal)


class TestResponse:
    @every_variant
    @pytest.mark.parametrize("masks", ["none", "all"])
    def test_row_of_each_example_is_its_own(self, case, arguments, masks):
        masks = MASKS[masks]
        layer, rows = case.build(**arguments), make_rows(BATCH)
        query, value = inputs()
        together = to_numpy(
            layer(query, value, hyperparameters=make_sample(rows), **masks)
        )
        for i in range(BATCH):
            one = slice(i, i + 1)
            alone = layer(
                query[one],
                value[one],
                hyperparameters=make_sample(rows[one]),
                **{
                    name: mask[one] if np.shape(mask)[:1] == (BATCH,) else mask
                    for name, mask in masks.items()
                },
            )
            np.testing.assert_allclose(
                together[i], to_numpy(alone)[0], rtol=1e-4, atol=1e-4
            )

    @pytest.mark.parametrize("groups", [2, BATCH])
    def test_both_computations_agree(self, case, groups, monkeypatch):
        layer, rows = case.build(use_gate=True), tf.constant(make_rows(groups))
        query, value = map(tf.constant, inputs())

        def loss():
            y = layer(
                query,
                value,
                hyperparameters=make_sample(rows),
                use_causal_mask=True,
            )
            return tf.reduce_sum(y * tf.cos(y))

        outcomes = []
        for positions in (0, 10**9):
            monkeypatch.setattr(
                response_layer, "POSITIONS_PER_KERNEL", positions
            )
            outcomes.append(
                value_and_gradients(loss, [query, value, rows, *layer.weights])
            )
        (first, first_gradients), (second, second_gradients) = outcomes
        np.testing.assert_allclose(first, second, rtol=1e-4)
        for one, other in zip(first_gradients, second_gradients, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3)

    @pytest.mark.parametrize("dropout", [0.0, rate()], ids=["fused", "tuned"])
    @pytest.mark.parametrize("groups", [1, 2, BATCH])
    def test_gradient_to_rows_equals_finite_difference(
        self, case, groups, dropout
    ):
        layer = case.build(dropout=dropout, dtype="float64")
        query, value = (x.astype("float64") for x in inputs())
        rows = tf.constant(make_rows(groups), tf.float64)
        direction = np.random.default_rng(3).normal(size=rows.shape)

        def loss(rows):
            y = layer(
                query,
                value,
                hyperparameters=make_sample(rows, "float64"),
                use_causal_mask=True,
            )
            return tf.reduce_sum(y * tf.cos(y))

        _, (gradient,) = value_and_gradients(lambda: loss(rows), [rows])
        step = 1e-5 * direction
        difference = (loss(rows + step) - loss(rows - step)) / 2e-5
        np.testing.assert_allclose(
            np.sum(gradient * direction), to_numpy(difference), rtol=1e-6
        )

    @pytest.mark.parametrize(
        "groups, dropout", [(1, 0.0), (2, rate()), (BATCH, 0.0)]
    )
    def test_eager_equals_graph_and_compiled(self, case, groups, dropout):
        layer, rows = (
            case.build(dropout=dropout),
            tf.constant(make_rows(groups)),
        )

        def call(query, value, rows):
            return layer(
                query,
                value,
                hyperparameters=make_sample(rows),
                use_causal_mask=True,
            )

        x = [tf.constant(each) for each in inputs()]
        expected = to_numpy(call(*x, rows))
        for jit_compile in (False, True):
            y = tf.function(call, jit_compile=jit_compile)(*x, rows)
            np.testing.assert_allclose(
                to_numpy(y), expected, rtol=1e-4, atol=1e-4
            )

    def test_sizes_may_be_known_at_run_time_only(self, case):
        layer, sample = case.build(dropout=rate()), make_sample(make_rows(2))
        signature = [tf.TensorSpec((None, None, SIZE), tf.float32)] * 2

        @tf.function(input_signature=signature)
        def call(query, value):
            return layer(query, value, hyperparameters=sample)

        for batch_size in (BATCH, 2 * BATCH):
            x = inputs(batch_size)
            expected = layer(*x, hyperparameters=sample)
            np.testing.assert_allclose(
                to_numpy(call(*x)), to_numpy(expected), rtol=1e-4, atol=1e-5
            )

    def test_mixed_precision_computes_in_half_and_keeps_full(self, case):
        full = case.build(dropout=rate())
        half = case.build(dropout=rate(), dtype="mixed_bfloat16")
        sample = make_sample(make_rows(2))
        y = half(*inputs(), hyperparameters=sample)
        assert y.dtype == tf.bfloat16
        assert {v.dtype for v in half.trainable_weights} == {"float32"}
        expected = to_numpy(full(*inputs(), hyperparameters=sample))
        error = np.abs(to_numpy(tf.cast(y, tf.float32)) - expected)
        assert error.max() < 0.05 * np.abs(expected).max()
