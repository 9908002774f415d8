"""What a self-tuning LSTM costs beside Keras's, and beside PyTorch cells.

    python examples/benchmarks/lstm_step.py

times, in turn in one run, forward and backward passes of one LSTM layer, and
training steps of a whole language model: plain `keras.layers.LSTM`, ours with
one perturbation a batch, with a few and with one an example, and, where
PyTorch is installed, a loop over cells whose kernels have responses, as the
authors' code has it. Printed are words a second, and the time relative to the
plain layer: medians of the rounds' ratios.
"""

import argparse
import os
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

import keras_stn as stn
from keras_stn.hyperparameters import HyperparameterSpace
from keras_stn.models.alternation import Cycle

HYPERPARAMETERS = 7


def layer_task(setting, arguments, jit_compile):
    """Forward and backward pass of one layer, as a function to time."""
    shape = (arguments.batch_size, arguments.length, arguments.units)
    x = tf.random.stateless_normal(shape, (1, 2))
    weights = tf.random.stateless_normal(shape, (3, 4))
    space = HyperparameterSpace(
        stn.Float(f"rate_{i}", 0.0, 1.0, 0.5) for i in range(HYPERPARAMETERS)
    )
    kind = keras.layers.LSTM if setting == "plain" else stn.layers.HyperLSTM
    layer = kind(arguments.units, return_sequences=True)
    layer(x)
    if setting != "plain":
        layer.cell.build_gates(HYPERPARAMETERS)
    groups = arguments.batch_size if setting == "per example" else setting

    @tf.function(jit_compile=jit_compile)
    def step():
        sample = {}
        if setting != "plain":
            sample = {"hyperparameters": space.sample(groups)}
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(x, **sample) * weights)
        variables = [v.value for v in layer.trainable_variables]
        return loss, tape.gradient(loss, variables)

    return lambda: step()[0].numpy()


def plain_language_model(arguments):
    """The language model of Keras's own layers, without regularization."""
    shape = (arguments.batch_size, arguments.length)
    embedding = keras.layers.ReversibleEmbedding(
        arguments.words, arguments.units
    )
    words = keras.Input(batch_shape=shape, dtype="int32")
    x = embedding(words)
    for _ in range(2):
        x = keras.layers.LSTM(
            arguments.units, return_sequences=True, stateful=True
        )(x)
    return keras.Model(words, embedding(x, reverse=True))


def model_task(setting, arguments, jit_compile):
    """Two weight updates and a tuning update; three updates if plain."""
    keras.utils.set_random_seed(0)
    if setting == "plain":
        model = plain_language_model(arguments)
    else:
        network = stn.applications.lstm_language_model(
            arguments.words,
            units=arguments.units,
            batch_size=arguments.batch_size,
            length=arguments.length,
        )
        model = stn.SelfTuningModel(
            network,
            groups=None if setting == "per example" else setting,
            tune_scales=False,
        )
    model.compile(
        keras.optimizers.SGD(1.0, global_clipnorm=0.25),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=jit_compile,
    )
    model.make_train_function()
    batch = tuple(tf.constant(v) for v in make_words(arguments))
    if setting == "plain":
        steps = (batch,) * 3
    else:
        steps = (Cycle((batch, batch), (batch,), (tf.constant(False),)),)

    def task():
        for step in steps:
            logs = model.train_function(iter([step]))
        return float(logs["loss"])

    return task


def make_words(arguments):
    shape = (arguments.batch_size, arguments.length)
    rng = np.random.default_rng(0)
    return [
        rng.integers(1, arguments.words, shape).astype("int32") for _ in "xy"
    ]


def torch_tasks(arguments):
    """The layer and the whole model as a loop over cells, if there is torch."""
    try:
        import torch
    except ImportError:
        print("PyTorch is not installed; its rows are left out.")
        return None, None

    class HyperLinear(torch.nn.Module):
        """A linear map whose response is gated by the hyperparameters."""

        def __init__(self, inputs, outputs):
            super().__init__()
            self.kernel = torch.nn.Linear(inputs, outputs)
            self.response = torch.nn.Linear(inputs, outputs, bias=False)
            self.response_bias = torch.nn.Parameter(torch.zeros(outputs))
            self.gates = torch.nn.Linear(
                HYPERPARAMETERS, 2 * outputs, bias=False
            )

        def forward(self, inputs, rows):
            gate, bias_gate = self.gates(rows).chunk(2, dim=1)
            response = gate * self.response(inputs)
            return (
                self.kernel(inputs) + response + bias_gate * self.response_bias
            )

    class Layer(torch.nn.Module):
        """An LSTM layer, one cell after another."""

        def __init__(self, units):
            super().__init__()
            self.units = units
            self.inputs = HyperLinear(units, 4 * units)
            self.recurrent = HyperLinear(units, 4 * units)

        def forward(self, x, rows):
            h = c = x.new_zeros(x.shape[1], self.units)
            outputs = []
            for step in x:
                z = self.inputs(step, rows) + self.recurrent(h, rows)
                forget, enter, leave, new = z.chunk(4, dim=1)
                c = forget.sigmoid() * c + enter.sigmoid() * new.tanh()
                h = leave.sigmoid() * c.tanh()
                outputs.append(h)
            return torch.stack(outputs)

    torch.manual_seed(0)
    units, rows = (
        arguments.units,
        torch.randn(arguments.batch_size, HYPERPARAMETERS),
    )
    layer = Layer(units)
    x = torch.randn(arguments.length, arguments.batch_size, units)

    def layer_step():
        layer.zero_grad()
        loss = (layer(x, rows) * x).sum()
        loss.backward()
        return float(loss)

    table, response = (
        torch.nn.Embedding(arguments.words, units) for _ in range(2)
    )
    gates = torch.nn.Linear(HYPERPARAMETERS, units, bias=False)
    decoder = torch.nn.Linear(units, arguments.words)
    decoder.weight = table.weight
    stack = torch.nn.ModuleList([Layer(units), Layer(units)])
    modules = torch.nn.ModuleList([table, response, gates, stack, decoder])
    optimizer = torch.optim.SGD(modules.parameters(), 1.0)
    words, targets = (
        torch.tensor(v.T.astype("int64")) for v in make_words(arguments)
    )

    def model_step():
        for _ in range(3):
            h = table(words) + response(words) * gates(rows)
            for one in stack:
                h = one(h, rows)
            loss = torch.nn.functional.cross_entropy(
                decoder(h).flatten(0, 1), targets.flatten()
            )
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(modules.parameters(), 0.25)
            optimizer.step()
        return float(loss)

    return layer_step, model_step


def measure(title, tasks, words, rounds):
    """Prints a row a task: words a second, and the ratio to the first."""
    times = {name: [] for name in tasks}
    for task in tasks.values():  # Compiles.
        task()
        task()
    for _ in range(rounds):
        for name, task in tasks.items():
            begin = time.perf_counter()
            task()
            times[name].append(time.perf_counter() - begin)
    print(f"\n{title}\n{'':>18} words/s   time / plain")
    for name, seconds in times.items():
        ratio = statistics.median(
            ours / plain for ours, plain in zip(seconds, times["plain"])
        )
        speed = words / statistics.median(seconds)
        print(f"{name:>18} {speed:>8.0f} {ratio:>9.2f}", flush=True)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--batch-size", type=int, default=40)
    parser.add_argument("--length", type=int, default=70)
    parser.add_argument("--units", type=int, default=200)
    parser.add_argument("--words", type=int, default=10_000)
    parser.add_argument("--groups", nargs="+", type=int, default=[1, 4, 8])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--parts", nargs="+", default=["layer", "model"])
    parser.add_argument(
        "--how", nargs="+", choices=["xla", "graph"], default=["xla", "graph"]
    )
    arguments = parser.parse_args()
    settings = ["plain", *arguments.groups, "per example"]
    torch_task = dict(zip(("layer", "model"), torch_tasks(arguments)))
    words = arguments.batch_size * arguments.length
    for part in arguments.parts:
        make, count = {
            "layer": (layer_task, words),
            "model": (model_task, 3 * words),
        }[part]
        for how in arguments.how:
            tasks = {
                f"{s} groups" if isinstance(s, int) else s: make(
                    s, arguments, how == "xla"
                )
                for s in settings
            }
            if torch_task[part]:
                tasks["PyTorch cells"] = torch_task[part]
            measure(f"{part}, {how}", tasks, count, arguments.rounds)


if __name__ == "__main__":
    main()
