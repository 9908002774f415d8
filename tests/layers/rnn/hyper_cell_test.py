"""The dropouts of the recurrent cells."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_stn as stn
from keras_stn.hyperparameters import Sample
from keras_stn.layers.hyper_layer import provided
from tests.layers.rnn.recurrent_cases import BATCH
from tests.layers.rnn.recurrent_cases import GATES
from tests.layers.rnn.recurrent_cases import KERNELS
from tests.layers.rnn.recurrent_cases import STEPS
from tests.layers.rnn.recurrent_cases import Case
from tests.layers.rnn.recurrent_cases import N
from tests.layers.rnn.recurrent_cases import force
from tests.layers.rnn.recurrent_cases import make_inputs
from tests.layers.rnn.recurrent_cases import make_rows
from tests.layers.samples import sample_at
from tests.numerics import to_numpy

KINDS = ["lstm", "gru_reset_before", "simple_rnn_cell"]
RATES = ["dropout", "recurrent_dropout", "recurrent_dropconnect"]


@pytest.fixture(params=KINDS)
def case(request):
    return Case(request.param)


def rate(per_example=True, default=0.4):
    return stn.Float("rate", 0.0, 1.0, default, per_example=per_example)


def sample_of_rates(values):
    """A `Sample` of one rate among `N` hyperparameters, a row a value."""
    rows = make_rows(len(values))
    values = np.stack([values] * N, axis=1).astype("float32")
    declarations = [rate(), *(stn.Float(f"h{i}") for i in range(1, N))]
    return Sample(tf.constant(rows), tf.constant(values), declarations)


def run(layer, x, sample=None, training=True, **kwargs):
    with provided(layer, sample):
        return to_numpy(layer(x, training=training, **kwargs))


def record(layer, monkeypatch):
    """Keeps every mask and set of factors that the cell works with."""
    cell, seen = layer.cell, {name: [] for name in RATES}

    def recording(get, name):
        def recorded(*args):
            drawn = get(*args)
            if drawn is not None and not any(d is drawn for d in seen[name]):
                seen[name].append(drawn)
            return drawn

        return recorded

    for method, name in (
        ("get_dropout_mask", "dropout"),
        ("get_recurrent_dropout_mask", "recurrent_dropout"),
        ("_get_dropconnect_factors", "recurrent_dropconnect"),
    ):
        monkeypatch.setattr(
            cell, method, recording(getattr(cell, method), name)
        )
    return seen


class TestMasks:
    def test_nothing_is_dropped_without_training(self, case):
        rates = {name: rate() for name in RATES}
        layer, plain = case.build(**rates), case.build()
        sample, x = sample_of_rates([0.9, 0.5]), make_inputs()
        for given in (None, sample):
            np.testing.assert_allclose(
                run(layer, x, given, training=False),
                run(plain, x, given, training=False),
                rtol=1e-6,
            )
        assert np.any(run(layer, x, sample) != run(plain, x, sample))

    @pytest.mark.parametrize("name", RATES)
    def test_rate_of_zero_drops_nothing(self, case, name):
        layer, plain = case.build(**{name: rate()}), case.build()
        sample, x = sample_of_rates([0.0, 0.0]), make_inputs()
        np.testing.assert_allclose(
            run(layer, x, sample), run(plain, x, sample), rtol=1e-5, atol=1e-6
        )

    def test_every_rate_is_drawn_once_a_sequence(self, case, monkeypatch):
        layer = case.build(**{name: rate() for name in RATES})
        seen = record(layer, monkeypatch)
        for count in (1, 2):
            run(layer, make_inputs(), sample_of_rates([0.3, 0.6]))
            assert [len(drawn) for drawn in seen.values()] == [count] * 3
        for first, second in seen.values():
            assert np.any(to_numpy(first) != to_numpy(second))

    # BUG: both generators started from the seed, and masks were alike.
    def test_masks_from_one_seed_are_independent(self, case):
        cell = case.build(**{name: 0.5 for name in RATES}, seed=3).cell
        draws = [
            to_numpy(keras.random.uniform((100,), seed=generator))
            for generator in (
                cell.seed_generator,
                cell.dropconnect.seed_generator,
            )
        ]
        assert abs(np.corrcoef(*draws)[0, 1]) < 0.5

    @pytest.mark.parametrize("name", ["dropout", "recurrent_dropout"])
    def test_rate_is_that_of_each_example(self, name):
        cell = stn.layers.HyperLSTMCell(2, **{name: rate()}, seed=1)
        values = [0.1, 0.5, 0.9, 0.99]
        with provided(cell, sample_at(rate(), values)):
            mask = to_numpy(
                getattr(cell, f"get_{name}_mask")(tf.ones((8, 9999)))
            )
        for factors, each in zip(mask, np.repeat(values, 2)):
            dropped = np.mean(factors == 0)
            assert abs(dropped - each) < 5 * (each * (1 - each) / 9999) ** 0.5
            kept = factors[factors != 0]
            np.testing.assert_allclose(kept, 1 / (1 - each), rtol=1e-5)

    @pytest.mark.parametrize("kind", ["lstm", "lstm_cell"])
    def test_inputs_are_dropped_alike_at_all_time_steps(self, kind):
        layer = Case(kind).build(dropout=rate(), return_sequences=True)
        cell, x = layer.cell, make_inputs()
        sample = sample_of_rates([0.3, 0.6])
        with provided(layer, sample):
            mask = cell.get_dropout_mask(tf.constant(x[:, 0]))
            outputs = to_numpy(layer(x, training=True))
        plain = Case(kind).build(return_sequences=True)
        np.testing.assert_allclose(
            outputs,
            run(plain, x * to_numpy(mask)[:, None], sample),
            rtol=1e-5,
            atol=1e-6,
        )

    @pytest.mark.parametrize("computation", [KERNELS, GATES])
    @pytest.mark.parametrize("per_example", [False, True])
    def test_dropconnect_drops_kernel_and_response_alike(
        self, case, per_example, computation, monkeypatch
    ):
        force(monkeypatch, computation)
        layer = case.build(recurrent_dropconnect=rate(per_example))
        seen = record(layer, monkeypatch)
        x, sample = make_inputs(), sample_of_rates([0.6, 0.3, 0.5])
        outputs = run(layer, x, sample)
        (factors,) = to_numpy(seen["recurrent_dropconnect"])
        assert len(factors) == (3 if per_example else 1)
        cell, size = case.build(), BATCH // 3
        kernels = (
            cell.cell.recurrent_kernel,
            cell.cell.response_recurrent_kernel,
        )
        before = [kernel.numpy() for kernel in kernels]
        for i in range(3):
            group = slice(i * size, (i + 1) * size)
            for kernel, value in zip(kernels, before):
                kernel.assign(value * factors[i % len(factors)])
            row = Sample(
                sample.response_inputs[i : i + 1], sample.values[i : i + 1], []
            )
            np.testing.assert_allclose(
                outputs[group], run(cell, x[group], row), rtol=1e-5, atol=1e-5
            )

    def test_dropconnect_without_hyperparameters_is_keras_with_its_kernel(
        self, case, monkeypatch
    ):
        layer = case.make(recurrent_dropconnect=0.5)
        layer.build((BATCH, STEPS, 5))
        seen = record(layer, monkeypatch)
        outputs = run(layer, make_inputs())
        (factors,) = to_numpy(seen["recurrent_dropconnect"])
        assert factors.shape[0] == 1 and np.any(factors == 0)
        keras_layer = case.make_keras(layer.cell.get_weights())
        kernel = keras_layer.cell.recurrent_kernel
        kernel.assign(kernel * factors[0])
        np.testing.assert_allclose(
            outputs, to_numpy(keras_layer(make_inputs())), rtol=1e-5, atol=1e-6
        )

    def test_rates_get_no_gradient_from_their_masks(self):
        layer = Case("lstm").build(**{name: rate() for name in RATES})
        values = tf.fill((2, N), 0.5)
        with tf.GradientTape() as tape:
            tape.watch(values)
            names = [stn.Float("rate"), stn.Float("h1")]
            sample = Sample(tf.zeros((2, N)), values, names)
            with provided(layer, sample):
                loss = tf.reduce_sum(layer(make_inputs(), training=True))
        assert tape.gradient(loss, values) is None

    def test_half_precision_does_not_round_the_rate(self):
        cell = stn.layers.HyperLSTMCell(
            2, dropout=rate(), dtype="mixed_bfloat16", seed=1
        )
        # The next number of that precision is 0.001 away.
        with provided(cell, sample_at(rate(), [0.2495])):
            mask = cell.get_dropout_mask(tf.ones((1000, 1000), "bfloat16"))
        assert mask.dtype == tf.bfloat16
        dropped = np.mean(to_numpy(tf.cast(mask, tf.float32)) == 0)
        assert dropped == pytest.approx(0.2495, abs=5 * 0.00043)


class TestForgetting:
    @pytest.mark.parametrize("kind", ["lstm", "lstm_cell"])
    def test_masks_leave_neither_calls_nor_graphs(self, kind):
        layer = Case(kind).build(**{name: rate() for name in RATES})
        x, sample = tf.constant(make_inputs()), sample_of_rates([0.3, 0.6])

        def call():
            with provided(layer, sample):
                return layer(x, training=True)

        graph = tf.function(call)
        outputs = [f() for f in (call, graph, graph, call, graph, call)]
        outputs = [tuple(y.numpy().ravel()) for y in outputs]
        assert len(set(outputs)) == len(outputs)

    def test_masks_do_not_leave_a_network_that_is_made(self):
        layer = Case("lstm").make(**{name: rate() for name in RATES})
        inputs = keras.Input((STEPS, 5))
        network = keras.Model(inputs, layer(inputs, training=True))
        assert network(make_inputs()).shape == (BATCH, 2)

    # BUG: an error left the masks of one batch for the next.
    def test_masks_do_not_survive_an_error(self):
        layer = Case("lstm").build(dropout=0.5, recurrent_dropconnect=0.5)
        with pytest.raises(ValueError, match="groups=4, batch_size=6"):
            run(layer, make_inputs(), sample_of_rates([0.1] * 4))
        assert run(layer, make_inputs(4)).shape == (4, 2)

    def test_cell_on_its_own_forgets_when_it_is_told(self):
        cell = Case("lstm").build(**{name: rate() for name in RATES}).cell
        x, sample = make_inputs()[:, 0], sample_of_rates([0.3, 0.6])

        def step():
            states = cell.get_initial_state(BATCH)
            states = [state + 1 for state in states]
            with provided(cell, sample):
                return cell(x, states, training=True)[0]

        outputs = []
        for function in (step, tf.function(step), step):
            outputs.append(to_numpy(function()))
            cell.reset_dropout_mask()
            cell.reset_recurrent_dropout_mask()
        np.testing.assert_array_equal(to_numpy(step()), to_numpy(step()))
        assert np.any(outputs[0] != outputs[1])
        assert np.any(outputs[0] != outputs[2])
