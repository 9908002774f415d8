import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_stn as stn
from keras_stn.hyperparameters import Sample
from keras_stn.hyperparameters.step import sampled
from keras_stn.layers import HyperEmbedding
from keras_stn.layers.hyper_layer import find_declarations
from tests.layers.official_layers import assert_close
from tests.layers.samples import Providing
from tests.layers.samples import fill
from tests.layers.samples import make_sample
from tests.layers.samples import sample_at
from tests.numerics import to_numpy
from tests.numerics import value_and_gradients
from tests.reference_arrays import load_reference

BATCH, STEPS, WORDS, SIZE, N = 6, 4, 11, 5, 3
FILES = [f"hyperembedding_s4{i}" for i in (1, 2, 3)]
GROUPS = pytest.mark.parametrize("groups", [1, 2, 3, BATCH])


def make_tokens(batch_size=BATCH, dtype="int32"):
    random = np.random.default_rng(1)
    return random.integers(0, WORDS, (batch_size, STEPS)).astype(dtype)


def make_rows(groups):
    return np.random.default_rng(2).normal(size=(groups, N)).astype("float32")


def make_layer(**arguments):
    """A layer with gates, all of whose weights show in its output."""
    layer = HyperEmbedding(WORDS, SIZE, **arguments)
    layer.build_gates(N)
    layer.build((BATCH, STEPS))
    fill(layer)
    return layer


def rate(per_example=False):
    return stn.Float("rate", 0.0, 1.0, default=0.4, per_example=per_example)


def named_weights(layer):
    return {v.name: v.numpy() for v in layer.weights}


class TestBesideKeras:
    @pytest.mark.parametrize(
        "keras_class",
        [keras.layers.Embedding, keras.layers.ReversibleEmbedding],
    )
    @pytest.mark.parametrize("dtype", ["int32", "int64", "uint8", "float32"])
    def test_without_hyperparameters_equals_keras_layer(
        self, keras_class, dtype
    ):
        layer, keras_layer = make_layer(), keras_class(WORDS, SIZE)
        keras_layer.build((BATCH, STEPS))
        keras_layer.set_weights([layer.embeddings])
        tokens = make_tokens(dtype=dtype)
        for training in (False, True):
            np.testing.assert_array_equal(
                to_numpy(layer(tokens, training=training)),
                to_numpy(keras_layer(tokens)),
            )

    @pytest.mark.parametrize("tie_weights", [True, False])
    @pytest.mark.parametrize("logit_soft_cap", [None, 0.5])
    def test_reverse_equals_keras_layer_at_all_hyperparameters(
        self, tie_weights, logit_soft_cap
    ):
        arguments = {
            "tie_weights": tie_weights,
            "logit_soft_cap": logit_soft_cap,
        }
        layer = make_layer(dropout=0.5, **arguments)
        keras_layer = keras.layers.ReversibleEmbedding(WORDS, SIZE, **arguments)
        keras_layer.build((BATCH, STEPS))
        keras_layer.set_weights(layer.get_weights()[: 2 - tie_weights])
        x = np.random.default_rng(3).normal(size=(BATCH, STEPS, SIZE))
        expected = to_numpy(keras_layer(x, reverse=True))
        sample = make_sample(make_rows(2))
        for y in (
            layer(x, reverse=True),
            layer(x, reverse=True, training=True, hyperparameters=sample),
        ):
            np.testing.assert_array_equal(to_numpy(y), expected)

    @pytest.mark.parametrize("dtype", ["int32", "int64", "uint8", "float32"])
    def test_single_row_equals_keras_layer_with_responding_table(self, dtype):
        layer, row = make_layer(), make_rows(1)
        weights = named_weights(layer)
        keras_layer = keras.layers.Embedding(WORDS, SIZE)
        keras_layer.build((BATCH, STEPS))
        gate = row[0] @ weights["embeddings_gate"]
        table = weights["embeddings"] + gate * weights["response_embeddings"]
        keras_layer.set_weights([table])
        tokens = make_tokens(dtype=dtype)
        np.testing.assert_allclose(
            to_numpy(layer(tokens, hyperparameters=make_sample(row))),
            to_numpy(keras_layer(tokens)),
            rtol=1e-5,
            atol=1e-5,
        )

    @pytest.mark.parametrize("shape", [(), (STEPS,), (STEPS, 2)])
    def test_output_shapes_are_those_of_keras(self, shape):
        layer, keras_layer = make_layer(), keras.layers.Embedding(WORDS, SIZE)
        tokens = np.ones((BATCH, *shape), "int32")
        expected = (BATCH, *shape, SIZE)
        assert layer.compute_output_shape(tokens.shape) == expected
        assert keras_layer.compute_output_shape(tokens.shape) == expected
        y = layer(tokens, hyperparameters=make_sample(make_rows(2)))
        assert y.shape == expected
        assert (
            layer(keras.Input(shape, dtype="int32")).shape[1:] == expected[1:]
        )
        assert layer(y, reverse=True).shape == (BATCH, *shape, WORDS)

    def test_keras_arguments_are_the_arguments(self):
        for keras_class in (
            keras.layers.Embedding,
            keras.layers.ReversibleEmbedding,
        ):
            keras_layer = keras_class(
                WORDS,
                SIZE,
                embeddings_initializer="ones",
                embeddings_regularizer=keras.regularizers.L2(0.1),
                mask_zero=True,
                name="layer",
            )
            config = keras_layer.get_config()
            layer = HyperEmbedding.from_config(config)
            ours = layer.get_config()
            assert config.items() <= ours.items()

    def test_pretrained_weights_are_the_table(self):
        table = np.random.default_rng(0).normal(size=(WORDS, SIZE))
        for weights in (table, [table]):
            layer = HyperEmbedding(WORDS, SIZE, weights=weights)
            np.testing.assert_allclose(layer.embeddings, table, rtol=1e-6)

    def test_regularizer_and_constraint_apply_to_the_table(self):
        layer = make_layer(
            embeddings_regularizer=keras.regularizers.L2(0.1),
            embeddings_constraint=keras.constraints.MaxNorm(0.5),
        )
        layer(make_tokens(), hyperparameters=make_sample(make_rows(2)))
        expected = 0.1 * np.sum(layer.embeddings.numpy() ** 2)
        np.testing.assert_allclose(sum(layer.losses), expected, rtol=1e-5)
        constrained = {v.name for v in layer.weights if v.constraint}
        assert constrained == {"embeddings"}

    def test_tuned_penalty_acts_on_the_responding_table(self):
        l2 = stn.Float("l2", 0.0, 1.0, per_example=False)
        layer = HyperEmbedding(
            WORDS, SIZE, embeddings_regularizer=stn.regularizers.L2(l2)
        )
        layer.build_gates(1)
        layer.build()
        fill(layer)
        assert find_declarations(layer) == [l2]
        rows = tf.constant([[0.5], [2.0]])
        with sampled(Sample(rows, tf.fill((2, 1), 0.3), [l2])):
            (loss,) = layer.losses
        weights = named_weights(layer)
        tables = [
            weights["embeddings"]
            + row * weights["embeddings_gate"] * weights["response_embeddings"]
            for row in (0.5, 2.0)
        ]
        expected = 0.3 * np.sum(np.square(tables)) / 2
        np.testing.assert_allclose(loss, expected, rtol=1e-5)

    def test_lora_is_refused(self):
        layer = HyperEmbedding(WORDS, SIZE, lora_rank=2)
        with pytest.raises(ValueError, match="Received: lora_rank=2"):
            layer.build((BATCH, STEPS))


class TestMask:
    @pytest.mark.parametrize("mask_zero", [True, False])
    def test_compute_mask_is_that_of_keras(self, mask_zero):
        layer = make_layer(mask_zero=mask_zero)
        keras_layer = keras.layers.Embedding(WORDS, SIZE, mask_zero=mask_zero)
        tokens = make_tokens()
        ours, theirs = (
            to_numpy(each.compute_mask(tokens)) for each in (layer, keras_layer)
        )
        np.testing.assert_array_equal(ours, theirs)
        assert layer.supports_masking == keras_layer.supports_masking

    @pytest.mark.parametrize("dtype", ["int32", "float32"])
    @pytest.mark.parametrize("with_sample", [True, False])
    def test_output_has_the_mask_and_scores_have_none(self, dtype, with_sample):
        layer = make_layer(mask_zero=True)
        sample = make_sample(make_rows(2)) if with_sample else None
        tokens = make_tokens(dtype=dtype)
        y = layer(tokens, hyperparameters=sample)
        np.testing.assert_array_equal(to_numpy(y._keras_mask), tokens != 0)
        scores = layer(y, reverse=True)
        assert getattr(scores, "_keras_mask", None) is None

    def test_mask_reaches_the_next_layer_of_a_network(self):
        layer = make_layer(mask_zero=True)
        inputs = keras.Input((STEPS,), dtype="int32")
        network = keras.Model(
            inputs, keras.layers.GlobalAveragePooling1D()(layer(inputs))
        )
        sample = make_sample(make_rows(1))
        tokens = make_tokens()
        tokens[:, 0], tokens[:, 1] = 0, 1
        y = to_numpy(Providing(network, sample)(tokens))
        vectors = to_numpy(layer(tokens, hyperparameters=sample))
        weights = (tokens != 0)[..., None]
        expected = (vectors * weights).sum(1) / weights.sum(1)
        np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)


class TestWeights:
    @pytest.mark.parametrize("gates_first", [True, False])
    def test_names_and_shapes(self, gates_first):
        layer = HyperEmbedding(WORDS, SIZE, use_reverse_bias=True)
        calls = [
            lambda: layer.build_gates(N),
            lambda: layer.build((BATCH, STEPS)),
        ]
        for call in calls if gates_first else calls[::-1]:
            call()
        assert {v.name: tuple(v.shape) for v in layer.trainable_weights} == {
            "reverse_bias": (WORDS,),
            "embeddings": (WORDS, SIZE),
            "response_embeddings": (WORDS, SIZE),
            "embeddings_gate": (N, SIZE),
        }
        assert layer.weights[-1].name == "embeddings_gate"
        assert layer.non_trainable_weights == []

    def test_gates_for_another_number_are_refused(self):
        message = f"with {N} hyperparameters and cannot serve one with 7"
        with pytest.raises(ValueError, match=message):
            make_layer().build_gates(7)

    def test_room_for_more_hyperparameters_keeps_the_old_gates(self):
        layer = make_layer()
        old = layer.embeddings_gate.numpy()
        layer.extend_gates(N + 2)
        np.testing.assert_array_equal(layer.embeddings_gate[:N], old)
        assert layer.embeddings_gate.shape == (N + 2, SIZE)

    @pytest.mark.parametrize("seed", [3, None])
    def test_table_and_response_start_different(self, seed):
        layer = HyperEmbedding(
            WORDS,
            SIZE,
            embeddings_initializer=keras.initializers.RandomUniform(seed=seed),
        )
        layer.build()
        assert np.all(layer.embeddings != layer.response_embeddings)

    def test_reverse_bias_is_added_to_the_scores(self):
        layer = make_layer(use_reverse_bias=True)
        x = np.random.default_rng(3).normal(size=(BATCH, SIZE))
        weights = named_weights(layer)
        expected = x @ weights["embeddings"].T + weights["reverse_bias"]
        assert_close(to_numpy(layer(x, reverse=True)), expected)
        new = HyperEmbedding(WORDS, SIZE, use_reverse_bias=True)
        new.build()
        np.testing.assert_array_equal(new.reverse_bias, 0)


class TestGroups:
    def test_row_of_each_example_is_its_own(self):
        layer, tokens, rows = make_layer(), make_tokens(), make_rows(BATCH)
        together = layer(tokens, hyperparameters=make_sample(rows))
        for i in range(BATCH):
            alone = layer(
                tokens[i : i + 1],
                hyperparameters=make_sample(rows[i : i + 1]),
            )
            np.testing.assert_allclose(together[i], alone[0], rtol=1e-5)

    @GROUPS
    def test_groups_equal_repeated_rows(self, groups):
        layer, tokens, rows = make_layer(), make_tokens(), make_rows(groups)
        grouped = layer(tokens, hyperparameters=make_sample(rows))
        rows = rows.repeat(BATCH // groups, axis=0)
        repeated = layer(tokens, hyperparameters=make_sample(rows))
        np.testing.assert_allclose(grouped, repeated, rtol=1e-5, atol=1e-6)

    def test_number_of_groups_that_does_not_divide_is_refused(self):
        sample = make_sample(make_rows(4))
        with pytest.raises(ValueError, match="groups=4, batch_size=6"):
            make_layer()(make_tokens(), hyperparameters=sample)


class TestOfficial:
    @pytest.mark.parametrize("file", FILES)
    def test_output_and_gradients_equal_official(self, file, monkeypatch):
        arrays = load_reference(file)
        official = {
            "embeddings": "p/elem_embedding.weight",
            "response_embeddings": "p/hnet_embedding.weight",
            "embeddings_gate": "p/hnet_tensor_to_scalars.weight",
        }
        words, size = arrays[official["embeddings"]].shape
        layer = HyperEmbedding(words, size, dropout=float(arrays["dropoute"]))
        layer.build_gates(arrays["h"].shape[1])
        layer.build()
        for v in layer.weights:
            value = arrays[official[v.name]]
            v.assign(value.T if v.name == "embeddings_gate" else value)
        keep = arrays["keep_mask"].T

        def uniform(shape, **kwargs):
            assert tuple(shape) == keep.shape
            return tf.constant(np.where(keep == 1, 1 - 1e-6, -1e-6), "float32")

        monkeypatch.setattr(keras.random, "uniform", uniform)
        # The official sequences are time-major.
        tokens = arrays["tokens"].T
        r = np.float32(arrays["r"].transpose(1, 0, 2))
        h = tf.constant(arrays["h"], tf.float32)
        outputs = []

        def loss():
            sample = make_sample(h)
            y = layer(tokens, training=True, hyperparameters=sample)
            outputs.append(y)
            return tf.reduce_sum(y * r)

        value, (grad_h, *gradients) = value_and_gradients(
            loss, [h, *layer.weights]
        )
        assert_close(value, arrays["loss"])
        assert_close(to_numpy(outputs[0]).transpose(1, 0, 2), arrays["out"])
        assert_close(grad_h, arrays["grad/h"])
        for v, gradient in zip(layer.weights, gradients, strict=True):
            expected = arrays[f"grad/{official[v.name]}"]
            if v.name == "embeddings_gate":
                assert_close(gradient, expected.T)
                continue
            gradient = to_numpy(tf.convert_to_tensor(gradient))
            # The official lookups give the last word no gradient.
            assert_close(gradient[:-1], expected[:-1])
            assert np.any(gradient[-1]) == (words - 1 in tokens)


class TestDropout:
    def test_whole_words_vanish_in_the_entire_batch(self):
        layer = make_layer(dropout=0.5)
        tokens = np.tile(np.arange(WORDS, dtype="int32"), (BATCH, 3))
        sample = make_sample(make_rows(BATCH))
        plain = to_numpy(layer(tokens, hyperparameters=sample))
        y = to_numpy(layer(tokens, training=True, hyperparameters=sample))
        factors = y / plain
        first = factors[0, :WORDS, 0]
        # Of table and response alike: the whole vector has one factor.
        expected = np.tile(first, 3)[None, :, None]
        np.testing.assert_allclose(
            factors, np.broadcast_to(expected, y.shape), rtol=1e-3
        )
        assert set(first.round(3)) <= {0.0, 2.0}

    @pytest.mark.parametrize("each", [0.1, 0.5])
    def test_frequency_and_scale_are_those_of_the_rate(self, each):
        words = 20000
        layer = HyperEmbedding(
            words, 1, embeddings_initializer="ones", dropout=rate(), seed=1
        )
        sample = sample_at(rate(), [each])
        tokens = np.arange(words)[None]
        y = to_numpy(layer(tokens, training=True, hyperparameters=sample))
        deviation = (each * (1 - each) / words) ** 0.5
        assert abs(np.mean(y == 0) - each) < 5 * deviation
        np.testing.assert_allclose(y[y != 0], 1 / (1 - each), rtol=1e-6)

    def test_nothing_is_dropped_without_training(self):
        sample = sample_at(rate(), [0.9, 0.9])
        for dropout in (0.9, rate()):
            layer = make_layer(dropout=dropout)
            # The gates are for another number of hyperparameters.
            layer.num_hyperparameters, layer.embeddings_gate = None, None
            y = layer(make_tokens(), hyperparameters=sample)
            expected = layer.embeddings.numpy()[make_tokens()]
            np.testing.assert_array_equal(to_numpy(y), expected)

    def test_batch_wide_rate_is_that_of_the_first_row(self):
        layer = HyperEmbedding(WORDS, SIZE, "ones", dropout=rate())
        sample = sample_at(rate(), [0.0, 1.0])
        y = layer(make_tokens(), training=True, hyperparameters=sample)
        np.testing.assert_array_equal(to_numpy(y), 1)

    def test_rate_per_group_gives_a_mask_a_group(self):
        layer = HyperEmbedding(WORDS, SIZE, "ones", dropout=rate(True))
        sample = sample_at(rate(True), [0.0, 0.5, 1.0])
        tokens = np.tile(np.arange(WORDS), (BATCH, 1))
        y = to_numpy(layer(tokens, training=True, hyperparameters=sample))
        np.testing.assert_array_equal(y[:2], 1)
        np.testing.assert_array_equal(y[2], y[3])
        assert set(y[2].ravel()) == {0.0, 2.0}
        np.testing.assert_array_equal(y[4:], 0)

    def test_without_a_sample_words_are_dropped_at_the_default(self):
        layer = HyperEmbedding(200, SIZE, "ones", dropout=rate())
        y = to_numpy(layer(np.arange(200)[None], training=True))
        assert 0 < np.mean(y == 0) < 1
        np.testing.assert_allclose(y[y != 0], 1 / 0.6, rtol=1e-6)

    def test_mask_of_padding_stays(self):
        layer = make_layer(dropout=0.5, mask_zero=True)
        y = layer(make_tokens(), training=True)
        np.testing.assert_array_equal(
            to_numpy(y._keras_mask), make_tokens() != 0
        )

    def test_rate_is_declared_and_has_no_gradient(self):
        layer = HyperEmbedding(WORDS, SIZE, dropout=rate())
        assert find_declarations(layer) == [rate()]
        rates = tf.constant([0.3, 0.5])
        with tf.GradientTape() as tape:
            tape.watch(rates)
            sample = sample_at(rate(), rates)
            y = layer(make_tokens(), training=True, hyperparameters=sample)
            value = tf.reduce_sum(y)
        assert tape.gradient(value, rates) is None

    @pytest.mark.parametrize("value", [-0.1, 1.5, stn.Float("a", 0.0, 1.1)])
    def test_rate_outside_is_refused_with_a_sentence(self, value):
        with pytest.raises(ValueError, match="must lie between 0 and 1"):
            HyperEmbedding(WORDS, SIZE, dropout=value)


class TestExecution:
    @GROUPS
    def test_eager_equals_graph_and_compiled(self, groups):
        layer = make_layer()
        arguments = tf.constant(make_tokens()), tf.constant(make_rows(groups))

        def call(tokens, rows):
            return layer(tokens, hyperparameters=make_sample(rows))

        expected = to_numpy(call(*arguments))
        signature = [
            tf.TensorSpec((None, None), tf.int32),
            tf.TensorSpec((None, N), tf.float32),
        ]
        for graph in (
            tf.function(call),
            tf.function(call, jit_compile=True),
            tf.function(call, input_signature=signature),
        ):
            np.testing.assert_allclose(
                graph(*arguments), expected, rtol=1e-5, atol=1e-6
            )

    @pytest.mark.parametrize("per_example", [True, False])
    def test_graph_and_compiled_code_drop_words(self, per_example):
        layer = HyperEmbedding(
            WORDS, SIZE, "ones", dropout=rate(per_example), seed=3
        )

        def call(tokens, rates):
            sample = sample_at(rate(per_example), rates)
            return layer(tokens, training=True, hyperparameters=sample)

        tokens = tf.tile(tf.range(WORDS)[None], (BATCH, 1))
        rates = tf.constant([0.5, 0.5, 0.5])
        for jit_compile in (False, True):
            graph = tf.function(call, jit_compile=jit_compile)
            ys = to_numpy([graph(tokens, rates) for _ in range(3)])
            for y in ys:
                assert set(y.ravel()) <= {0.0, 2.0}
                np.testing.assert_array_equal(y[0], y[1])
                assert np.array_equal(y[0], y[2]) == (not per_example)
            assert np.any(ys[0] != ys[1]) or np.any(ys[0] != ys[2])

    @GROUPS
    def test_gradient_to_rows_equals_finite_difference(self, groups):
        layer = make_layer(dtype="float64")
        rows = tf.constant(make_rows(groups), tf.float64)
        direction = np.random.default_rng(3).normal(size=rows.shape)

        def loss(rows):
            sample = make_sample(rows, "float64")
            y = layer(make_tokens(), hyperparameters=sample)
            return tf.reduce_sum(y * tf.cos(y))

        _, (gradient,) = value_and_gradients(lambda: loss(rows), [rows])
        step = 1e-5 * direction
        difference = (loss(rows + step) - loss(rows - step)) / 2e-5
        np.testing.assert_allclose(
            np.sum(gradient * direction), to_numpy(difference), rtol=1e-7
        )

    def test_gradient_to_the_table_holds_both_of_its_uses(self):
        layer = make_layer(dtype="float64")
        sample = make_sample(make_rows(2), "float64")
        table = layer.embeddings

        def loss():
            y = layer(make_tokens(), hyperparameters=sample)
            return tf.reduce_sum(tf.tanh(layer(tf.tanh(y), reverse=True)))

        _, (gradient,) = value_and_gradients(loss, [table])
        gradient = to_numpy(tf.convert_to_tensor(gradient))
        direction = np.random.default_rng(3).normal(size=table.shape)
        values, start = [], table.numpy()
        for sign in (1, -1):
            table.assign(start + sign * 1e-5 * direction)
            values.append(to_numpy(loss()))
        np.testing.assert_allclose(
            np.sum(gradient * direction),
            (values[0] - values[1]) / 2e-5,
            rtol=1e-6,
        )

    @pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
    def test_mixed_precision_computes_in_half_and_keeps_full(self, dtype):
        full, half = make_layer(), make_layer(dtype=f"mixed_{dtype}")
        sample = make_sample(make_rows(2))
        y = half(make_tokens(), hyperparameters=sample)
        assert y.dtype == dtype
        assert {v.dtype for v in half.weights} == {"float32"}
        np.testing.assert_allclose(
            to_numpy(tf.cast(y, tf.float32)),
            to_numpy(full(make_tokens(), hyperparameters=sample)),
            rtol=0.05,
            atol=0.05,
        )
        dropping = make_layer(dtype=f"mixed_{dtype}", dropout=0.5)
        assert dropping(make_tokens(), training=True).dtype == dtype

    @pytest.mark.parametrize("steps", [STEPS, None])
    def test_sample_reaches_the_layer_in_time_distributed(self, steps):
        layer = make_layer()
        inputs = keras.Input((steps, 2), dtype="int32")
        network = keras.Model(
            inputs, keras.layers.TimeDistributed(layer)(inputs)
        )
        tokens = np.stack([make_tokens(), make_tokens()[::-1]], axis=-1)
        sample = make_sample(make_rows(2))
        y = Providing(network, sample)(tokens)
        np.testing.assert_allclose(
            y, layer(tokens, hyperparameters=sample), rtol=1e-5, atol=1e-6
        )


class TestSaving:
    @pytest.mark.parametrize("dropout", [0.3, rate(), rate(True)], ids=str)
    def test_config_round_trip_keeps_everything(self, dropout):
        layer = HyperEmbedding(
            WORDS,
            SIZE,
            name="layer",
            embeddings_initializer=keras.initializers.HeNormal(seed=3),
            embeddings_regularizer=keras.regularizers.L2(0.1),
            embeddings_constraint=keras.constraints.MaxNorm(2.0),
            mask_zero=True,
            dropout=dropout,
            seed=3,
            use_reverse_bias=True,
            tie_weights=False,
            logit_soft_cap=3.0,
            trainable=False,
            dtype="float64",
        )
        again = HyperEmbedding.from_config(layer.get_config())
        assert again.get_config() == layer.get_config()
        assert again.dropout == dropout
        assert find_declarations(again) == find_declarations(layer)

    def test_unbuilt_layer_can_be_serialized(self):
        layer = HyperEmbedding(WORDS, SIZE, dropout=rate())
        config = keras.saving.serialize_keras_object(layer)
        again = keras.saving.deserialize_keras_object(config)
        assert again.get_config() == layer.get_config()

    @pytest.mark.parametrize("with_gates", [True, False])
    def test_saved_network_with_tied_weights_gives_equal_outputs(
        self, with_gates, tmp_path
    ):
        layer = HyperEmbedding(
            WORDS, SIZE, dropout=0.5, seed=3, use_reverse_bias=True
        )
        inputs = keras.Input((STEPS,), dtype="int32")
        hidden = keras.layers.Dense(SIZE)(layer(inputs))
        network = keras.Model(inputs, layer(hidden, reverse=True))
        if with_gates:
            layer.build_gates(N)
        fill(network)
        network.save(tmp_path / "network.keras")
        loaded = keras.models.load_model(tmp_path / "network.keras")
        sample, tokens = make_sample(make_rows(2)), make_tokens()
        for training in (False, True):
            first, second = (
                to_numpy(Providing(n, sample)(tokens, training=training))
                for n in (network, loaded)
            )
            np.testing.assert_array_equal(first, second)
        plain = to_numpy(network(tokens))
        y = to_numpy(Providing(network, sample)(tokens))
        assert np.any(y != plain) == with_gates

    def test_saved_weights_give_equal_outputs(self, tmp_path):
        networks = [
            keras.Sequential(
                [keras.Input((STEPS,), dtype="int32"), make_layer()]
            )
            for _ in range(2)
        ]
        fill(networks[1], seed=5)
        networks[0].save_weights(tmp_path / "network.weights.h5")
        networks[1].load_weights(tmp_path / "network.weights.h5")
        sample = make_sample(make_rows(2))
        first, second = (
            to_numpy(Providing(network, sample)(make_tokens()))
            for network in networks
        )
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("jit_compile", [True, False])
def test_language_model_with_tied_weights_tunes_its_word_dropout(jit_compile):
    layer = HyperEmbedding(WORDS, 8, mask_zero=True, dropout=rate())
    inputs = keras.Input((STEPS,), dtype="int32")
    hidden = keras.layers.Dense(8, activation="tanh")(layer(inputs))
    network = keras.Model(inputs, layer(hidden, reverse=True))
    model = stn.SelfTuningModel(network, groups=2)
    model.compile(
        keras.optimizers.SGD(0.5),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=jit_compile,
    )
    tokens = np.tile(make_tokens(24), (4, 1))
    history = model.fit(
        tokens,
        tokens,
        batch_size=12,
        epochs=3,
        validation_data=(tokens, tokens),
        verbose=0,
    ).history
    assert history["val_loss"][-1] < history["val_loss"][0]
    assert history["rate"][-1] != history["rate"][0]
