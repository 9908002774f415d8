import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_stn as stn
from keras_stn.hyperparameters import HyperparameterSpace
from keras_stn.hyperparameters import Sample
from keras_stn.layers import HyperLayer
from keras_stn.layers.hyper_layer import find_declarations
from keras_stn.layers.hyper_layer import provided
from keras_stn.layers.hyper_layer import to_examples
from tests.layers.samples import Providing
from tests.layers.samples import fill
from tests.layers.samples import make_sample
from tests.layers.samples import sample_at
from tests.numerics import to_numpy


def factor(name="factor", default=2.0):
    return stn.Float(name, 0.0, 100.0, default=default)


class Scale(HyperLayer):
    """Multiplies by a number or hyperparameter."""

    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = self.declare(factor)

    def call(self, inputs, hyperparameters=None):
        return inputs * self.resolve(self.factor, inputs, hyperparameters)

    def compute_output_shape(self, input_shape):
        return input_shape


class Block(keras.layers.Layer):
    """An ordinary layer that knows nothing of hyperparameters."""

    def __init__(self, *layers, **kwargs):
        super().__init__(**kwargs)
        self.layers = list(layers)

    def call(self, inputs):
        for layer in self.layers:
            inputs = layer(inputs)
        return inputs


class Subclassed(keras.Model):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def call(self, inputs):
        return self.layer(inputs)


def functional(layer, shape=(3,)):
    inputs = keras.Input(shape)
    return keras.Model(inputs, layer(inputs))


NESTINGS = {
    "layer": lambda: Scale(factor()),
    "functional": lambda: functional(Scale(factor())),
    "nested_functional": lambda: functional(functional(Scale(factor()))),
    "sequential": lambda: keras.Sequential([Scale(factor())]),
    "built_sequential": lambda: keras.Sequential(
        [keras.Input((3,)), Scale(factor())]
    ),
    "nested_sequential": lambda: keras.Sequential(
        [keras.Sequential([Scale(factor())])]
    ),
    "subclassed": lambda: Subclassed(Scale(factor())),
    "custom_layer": lambda: Block(Scale(factor())),
    "custom_layer_in_functional": lambda: functional(Block(Scale(factor()))),
    "subclassed_in_sequential": lambda: keras.Sequential(
        [Subclassed(keras.Sequential([Block(Scale(factor()))]))]
    ),
}

X = np.arange(1.0, 13.0, dtype="float32").reshape(4, 3)


@pytest.mark.parametrize("nesting", NESTINGS)
class TestProvided:
    def test_sample_reaches_the_layer(self, nesting):
        network = NESTINGS[nesting]()
        model = Providing(network, sample_at(factor(), [3.0, 5.0]))
        expected = X * np.float32([[3], [3], [5], [5]])
        np.testing.assert_allclose(to_numpy(model(X)), expected, rtol=1e-6)

    def test_sample_reaches_the_layer_in_a_graph(self, nesting):
        network = NESTINGS[nesting]()
        model = Providing(network, sample_at(factor(), [3.0, 5.0]))
        expected = X * np.float32([[3], [3], [5], [5]])
        y = tf.function(model)(tf.constant(X))
        np.testing.assert_allclose(to_numpy(y), expected, rtol=1e-6)

    def test_network_called_before_it_was_wrapped_works(self, nesting):
        network = NESTINGS[nesting]()
        np.testing.assert_array_equal(to_numpy(network(X)), 2 * X)
        model = Providing(network, sample_at(factor(), [3.0]))
        np.testing.assert_allclose(to_numpy(model(X)), 3 * X, rtol=1e-6)

    # BUG: a sequential model that is built by a call under a sample keeps it:
    # Keras records the sample among the arguments of the layers' calls.
    def test_every_sample_replaces_the_one_before(self, nesting):
        network = NESTINGS[nesting]()
        for value in (3.0, 5.0):
            model = Providing(network, sample_at(factor(), [value]))
            np.testing.assert_allclose(to_numpy(model(X)), value * X, rtol=1e-6)

    # BUG: as above.
    def test_network_on_its_own_uses_the_default_again(self, nesting):
        network = NESTINGS[nesting]()
        Providing(network, sample_at(factor(), [3.0]))(X)
        np.testing.assert_array_equal(to_numpy(network(X)), 2 * X)


class TestContext:
    def test_previous_sample_is_restored(self):
        outer, inner = (sample_at(factor(), [v]) for v in (3.0, 5.0))

        class Model(keras.Model):
            def __init__(self):
                super().__init__()
                self.scale = Scale(factor())

            def call(self, inputs):
                outputs = [self.scale(inputs)]
                with provided(self, outer):
                    outputs.append(self.scale(inputs))
                    with provided(self, inner):
                        outputs.append(self.scale(inputs))
                    outputs.append(self.scale(inputs))
                outputs.append(self.scale(inputs))
                return outputs

        factors = [y.numpy()[0, 0] for y in Model()(X)]
        np.testing.assert_allclose(factors, [2, 3, 5, 3, 2], rtol=1e-6)

    def test_previous_sample_is_restored_after_an_error(self):
        class Failing(keras.layers.Layer):
            def call(self, inputs):
                raise RuntimeError("failed")

        class Model(keras.Model):
            def __init__(self):
                super().__init__()
                self.scale = Scale(factor())
                self.failing = Failing()

            def call(self, inputs):
                try:
                    with provided(self, sample_at(factor(), [3.0])):
                        self.failing(inputs)
                except RuntimeError:
                    pass
                return self.scale(inputs)

        np.testing.assert_array_equal(to_numpy(Model()(X)), 2 * X)

    def test_two_samples_serve_two_calls_of_one_model(self):
        class Model(keras.Model):
            def __init__(self):
                super().__init__()
                self.network = functional(Block(Scale(factor())))

            def call(self, inputs):
                outputs = []
                for value in (3.0, 5.0):
                    with provided(self, sample_at(factor(), [value])):
                        outputs.append(self.network(inputs))
                return outputs

        first, second = Model()(X)
        np.testing.assert_allclose(to_numpy(first), 3 * X, rtol=1e-6)
        np.testing.assert_allclose(to_numpy(second), 5 * X, rtol=1e-6)

    def test_training_reaches_the_layers_too(self):
        network = keras.Sequential([Scale(factor()), keras.layers.Dropout(1.0)])
        model = Providing(network, sample_at(factor(), [3.0]))
        np.testing.assert_array_equal(to_numpy(model(X, training=True)), 0)
        np.testing.assert_allclose(
            to_numpy(model(X, training=False)), 3 * X, rtol=1e-6
        )

    def test_mixed_precision_leaves_the_sample_in_float32(self):
        received = []

        class Probe(HyperLayer):
            def call(self, inputs, hyperparameters=None):
                received.append(hyperparameters)
                return inputs

        keras.config.set_dtype_policy("mixed_bfloat16")
        try:
            sample = sample_at(factor(), [3.0])
            y = Providing(keras.Sequential([Probe()]), sample)(X)
        finally:
            keras.config.set_dtype_policy("float32")
        assert y.dtype == tf.bfloat16
        assert received[-1].values.dtype == tf.float32

    # BUG: `TimeDistributed` calls `layer.call` past the call context, both
    # when it is built and in every step.
    @pytest.mark.parametrize("steps", [2, None])
    def test_sample_reaches_the_layer_in_time_distributed(self, steps):
        network = functional(
            keras.layers.TimeDistributed(Scale(factor())), (steps, 3)
        )
        x = np.ones((4, 2, 3), "float32")
        model = Providing(network, sample_at(factor(), [3.0, 5.0]))
        expected = x * np.float32([3, 3, 5, 5])[:, None, None]
        y = tf.function(model)(tf.constant(x))
        np.testing.assert_allclose(to_numpy(y), expected, rtol=1e-6)

    def test_sample_reaches_a_cell_of_a_recurrent_layer(self):
        class Cell(HyperLayer):
            state_size = output_size = 3

            def __init__(self):
                super().__init__()
                self.factor = self.declare(factor())

            def call(self, inputs, states, hyperparameters=None):
                scale = self.resolve(self.factor, inputs, hyperparameters)
                output = states[0] + inputs * scale
                return output, [output]

        network = functional(keras.layers.RNN(Cell()), (2, 3))
        x = np.ones((4, 2, 3), "float32")
        model = Providing(network, sample_at(factor(), [3.0, 5.0]))
        expected = 2 * np.float32([[3], [3], [5], [5]]) * np.ones((4, 3))
        np.testing.assert_allclose(to_numpy(model(x)), expected, rtol=1e-6)

    def test_sample_reaches_both_kinds_of_layer_in_one_network(self):
        dense = stn.layers.HyperDense(3)
        dense.build_gates(1)
        network = keras.Sequential([dense, Scale(factor())])
        network.build((None, 3))
        fill(dense)
        sample = Sample(tf.constant([[1.0]]), tf.constant([[3.0]]), [factor()])
        y = Providing(network, sample)(X)
        expected = 3 * dense(X, hyperparameters=make_sample([[1.0]]))
        np.testing.assert_allclose(to_numpy(y), to_numpy(expected), rtol=1e-5)


class TestResolve:
    def test_number_is_returned_as_it_is(self):
        layer = Scale(0.5)
        assert layer.resolve(0.5, X, sample_at(factor(), [3.0])) == 0.5
        assert layer.declarations == []

    def test_without_a_sample_it_is_the_default(self):
        layer = Scale(factor(default=7.0))
        assert layer.resolve(layer.factor, X, None) == 7.0

    @pytest.mark.parametrize(
        "values, expected",
        [
            ([3], [3]),
            ([3, 5], [3, 3, 5, 5]),
            ([3, 5, 7, 9], [3, 5, 7, 9]),
        ],
    )
    def test_row_of_each_group_goes_to_its_examples(self, values, expected):
        layer = Scale(factor())
        inputs = np.zeros((4, 2, 2), "float32")
        resolved = layer.resolve(
            layer.factor, inputs, sample_at(factor(), values)
        )
        assert resolved.shape == (len(expected), 1, 1)
        np.testing.assert_array_equal(resolved.numpy()[:, 0, 0], expected)

    def test_integers_are_whole(self):
        holes = stn.Int("holes", 0, 4)
        layer = Scale(holes)
        resolved = layer.resolve(holes, X, sample_at(holes, [1.7, 3.2]))
        np.testing.assert_array_equal(resolved.numpy()[:, 0], [1, 1, 3, 3])

    def test_number_of_groups_that_does_not_divide_is_refused(self):
        layer = Scale(factor())
        with pytest.raises(ValueError, match="groups=3, batch_size=4"):
            layer.resolve(layer.factor, X, sample_at(factor(), [1.0, 2.0, 3.0]))

    def test_unknown_name_is_refused_with_a_sentence(self):
        layer = Scale(factor("other"), name="mine")
        message = (
            "The layer 'mine' uses the hyperparameter 'other', which the "
            "model around it does not know"
        )
        with pytest.raises(ValueError, match=message):
            layer.resolve(layer.factor, X, sample_at(factor(), [3.0]))

    def test_result_has_the_compute_dtype(self):
        layer = Scale(factor(), dtype="mixed_bfloat16")
        resolved = layer.resolve(layer.factor, X, sample_at(factor(), [3.0]))
        assert resolved.dtype == tf.bfloat16

    def test_gradient_reaches_the_hyperparameter(self):
        space = HyperparameterSpace([factor()])
        layer = Scale(factor())
        with tf.GradientTape() as tape:
            tape.watch(space.location.value)
            sample = space.sample(perturb=False)
            loss = tf.reduce_sum(layer(X, hyperparameters=sample))
        gradient = tape.gradient(loss, space.location.value).numpy()
        share = 2.0 / 100.0
        expected = X.sum() * 100.0 * share * (1 - share)
        np.testing.assert_allclose(gradient, [expected], rtol=1e-5)


class TestToExamples:
    @pytest.mark.parametrize("groups", [1, 4])
    def test_rows_are_not_copied_where_they_need_not_be(self, groups):
        rows = tf.zeros((groups, 2))
        assert to_examples(rows, X) is rows

    def test_rows_are_repeated_for_consecutive_examples(self):
        rows = tf.constant([[1.0, 2.0], [3.0, 4.0]])
        np.testing.assert_array_equal(
            to_examples(rows, X).numpy(), [[1, 2], [1, 2], [3, 4], [3, 4]]
        )

    def test_sizes_may_be_known_at_run_time_only(self):
        signature = [
            tf.TensorSpec((None, 2), tf.float32),
            tf.TensorSpec((None, 3), tf.float32),
        ]
        repeat = tf.function(to_examples, input_signature=signature)
        rows = np.float32([[1.0, 2.0], [3.0, 4.0]])
        np.testing.assert_array_equal(
            repeat(rows, X).numpy(), rows.repeat(2, axis=0)
        )
        np.testing.assert_array_equal(repeat(rows, X[:2]).numpy(), rows)


class TestDeclarations:
    def test_serialized_hyperparameter_is_declared_too(self):
        config = keras.saving.serialize_keras_object(factor())
        layer = Scale(config)
        assert layer.factor == factor()
        assert layer.declarations == [factor()]

    def test_found_in_every_nesting(self):
        for make in NESTINGS.values():
            network = make()
            network(X)
            assert find_declarations(network) == [factor()]

    def test_network_without_any_has_none(self):
        network = keras.Sequential([keras.layers.Dense(2), Scale(0.5)])
        assert find_declarations(network) == []

    def test_found_in_the_order_of_the_layers(self):
        network = keras.Sequential([Scale(factor(n)) for n in "cab"])
        names = [d.name for d in find_declarations(network)]
        assert names == ["c", "a", "b"]

    # BUG: Keras's flat list turns the layers of a nested network round.
    def test_found_in_the_order_of_the_layers_of_nested_networks(self):
        inner = keras.Sequential([Scale(factor(n)) for n in "bcd"])
        network = keras.Sequential(
            [Scale(factor("a")), inner, Scale(factor("e"))]
        )
        names = [d.name for d in find_declarations(network)]
        assert names == ["a", "b", "c", "d", "e"]

    def test_layer_used_twice_is_found_once(self):
        layer = Scale(factor())
        inputs = keras.Input((3,))
        network = keras.Model(inputs, layer(layer(inputs)))
        assert find_declarations(network) == [factor()]
