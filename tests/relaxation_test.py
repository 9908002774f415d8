import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_stn.relaxation import relax
from keras_stn.relaxation import soft_floor
from tests.numerics import to_numpy
from tests.numerics import value_and_gradients

VALUES = np.array([0.1, 0.5, 0.9, 1.3, 2.5, 3.99, 7.2], "float64")


def square(number, temperature):
    return number**2


class TestSoftFloor:
    @pytest.mark.parametrize("temperature", [0.01, 0.2, 1.0, 10.0])
    def test_middle_of_a_step_is_the_integer(self, temperature):
        middles = np.arange(5) + 0.5
        np.testing.assert_allclose(
            soft_floor(middles, temperature), np.arange(5), atol=1e-12
        )

    def test_tends_to_floor_as_temperature_goes_to_zero(self):
        np.testing.assert_allclose(
            soft_floor(VALUES, 1e-3), np.floor(VALUES), atol=1e-6
        )

    def test_tends_to_a_straight_line_as_temperature_grows(self):
        np.testing.assert_allclose(
            soft_floor(VALUES, 1e3), VALUES - 0.5, atol=1e-6
        )

    def test_is_continuous_and_rises_everywhere(self):
        values = np.linspace(0, 4, 4001)
        soft = to_numpy(soft_floor(tf.constant(values), 0.3))
        steps = np.diff(soft)
        assert np.all(steps > 0)
        assert np.all(steps < 0.01)

    @pytest.mark.parametrize("temperature", [0.2, 0.5, 2.0])
    def test_gradient_is_the_finite_difference(self, temperature):
        x, h = tf.constant(VALUES), 1e-6

        def total(shift=0.0):
            return tf.reduce_sum(soft_floor(x + shift, temperature))

        _, (gradient,) = value_and_gradients(total, [x])
        difference = [
            (soft_floor(v + h, temperature) - soft_floor(v - h, temperature))
            / (2 * h)
            for v in VALUES
        ]
        np.testing.assert_allclose(gradient, difference, rtol=1e-4)
        assert np.all(gradient > 0)

    def test_number_is_taken(self):
        assert float(soft_floor(2.5, 0.3)) == 2.0


class TestRelax:
    @pytest.mark.parametrize("relaxation", ["hard", "straight_through"])
    def test_value_is_exact(self, relaxation):
        value = relax(square, tf.constant(VALUES), relaxation=relaxation)
        np.testing.assert_array_equal(value, np.floor(VALUES) ** 2)

    def test_hard_has_no_gradient(self):
        x = tf.constant(VALUES)
        _, (gradient,) = value_and_gradients(
            lambda: tf.reduce_sum(relax(square, x, relaxation="hard")), [x]
        )
        np.testing.assert_array_equal(gradient, 0)

    def test_straight_through_has_the_gradient_of_soft(self):
        x = tf.constant(VALUES)
        gradients = [
            value_and_gradients(
                lambda r=r: tf.reduce_sum(relax(square, x, relaxation=r)), [x]
            )[1][0]
            for r in ("straight_through", "soft")
        ]
        np.testing.assert_array_equal(*gradients)
        assert np.all(gradients[0][2:] > 0)

    def test_soft_is_the_function_of_the_soft_floor(self):
        value = relax(square, VALUES, relaxation="soft", temperature=0.7)
        expected = to_numpy(soft_floor(VALUES, 0.7)) ** 2
        np.testing.assert_allclose(value, expected)

    def test_function_gets_the_temperature_and_zero_where_exact(self):
        temperatures = []

        def function(a, b, temperature):
            temperatures.append(temperature)
            return a * b

        for relaxation in ("hard", "soft", "straight_through"):
            relax(function, 2.2, 3.3, relaxation=relaxation, temperature=0.25)
        assert temperatures == [0.0, 0.25, 0.0, 0.25]

    @pytest.mark.parametrize("jit_compile", [False, True])
    def test_graph_equals_eager(self, jit_compile):
        @tf.function(jit_compile=jit_compile)
        def call(x):
            return relax(square, x)

        x = tf.constant(VALUES)
        np.testing.assert_array_equal(call(x), relax(square, x))

    @pytest.mark.parametrize(
        "arguments, message",
        [
            ({"relaxation": "gumbel"}, "Received: relaxation='gumbel'"),
            ({"temperature": 0}, "Received: temperature=0"),
            ({"temperature": -1.0}, "Received: temperature=-1.0"),
            ({"temperature": "low"}, "Received: temperature='low'"),
        ],
    )
    def test_bad_argument_gets_a_sentence(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            relax(square, 1.0, **arguments)


def test_own_layer_with_a_relaxed_integer_gets_a_gradient():
    """What the documentation tells people to write."""
    import keras_stn as stn
    from tests.layers.samples import sample_at

    class Posterize(stn.layers.HyperLayer):
        def __init__(self, levels, **kwargs):
            super().__init__(**kwargs)
            self.levels = self.declare(levels)

        def call(self, inputs, hyperparameters=None):
            levels = self.resolve(
                self.levels, inputs, hyperparameters, continuous=True
            )

            def posterize(levels, temperature):
                steps = inputs * levels
                if temperature == 0:
                    return keras.ops.floor(steps) / levels
                return soft_floor(steps, temperature) / levels

            return relax(posterize, levels)

    levels = stn.Int("levels", 2, 8, default=4)
    layer = Posterize(levels)
    x = tf.random.uniform((6, 5))
    values = tf.constant([2.1, 4.9, 7.0])

    def total():
        y = layer(x, hyperparameters=sample_at(levels, values))
        return tf.reduce_sum(y)

    y = to_numpy(layer(x, hyperparameters=sample_at(levels, values)))
    expected = np.repeat([2, 4, 7], 2)[:, None]
    np.testing.assert_allclose(y, np.floor(x * expected) / expected)
    _, (gradient,) = value_and_gradients(total, [values])
    assert np.all(gradient != 0)
