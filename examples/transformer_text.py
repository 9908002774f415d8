"""Tune the dropouts of a causal transformer in one training run.

    python examples/transformer_text.py

trains a small language model on sentences of a grammar that it draws from
itself, needs no data and no network and takes two to three minutes on two
cores. It prints a table that compares the self-tuned transformer with the same
one trained as long at the starting values, and writes the schedule of the
dropout rates to `results/transformer_text` as CSV and picture.

    python examples/transformer_text.py --data-dir DIR

does the same with the files `train.txt`, `valid.txt` and `test.txt` in DIR, in
the format of the Penn Treebank: one sentence a line, words separated by spaces.
"""

import argparse
import os
import pathlib
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import matplotlib
import numpy as np
from grammar import write_text
from quickstart import print_table
from quickstart import save_table

import keras_stn as stn
from keras_stn.datasets import language

matplotlib.use("Agg")
from matplotlib import pyplot

START = 0.05
# Okabe and Ito's colours, which the colour-blind can tell apart.
COLORS = {
    "input": "#0072B2",
    "attention": "#D55E00",
    "residual": "#009E73",
    "output": "#CC79A7",
}
STYLES = ("-", "--", "-.", ":")


class PositionEmbedding(keras.layers.Layer):
    """Adds a learned vector for each position of a segment."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def build(self, input_shape):
        self.embeddings = self.add_weight(
            shape=input_shape[1:], initializer="uniform", name="embeddings"
        )

    def call(self, inputs):
        return inputs + self.embeddings


def build_network(
    vocabulary_size,
    rates,
    arguments,
    embedding=keras.layers.Embedding,
    attention=keras.layers.MultiHeadAttention,
    dense=keras.layers.Dense,
):
    """A causal transformer that normalizes in front of each part."""
    inputs = keras.Input((arguments.length,), dtype="int32")
    x = embedding(vocabulary_size, arguments.dim, mask_zero=True)(inputs)
    x = PositionEmbedding()(x)
    x = stn.layers.Dropout(rates["dropout_input"])(x)
    for i in range(1, arguments.blocks + 1):
        residual = rates[f"dropout_residual_{i}"]
        y = keras.layers.LayerNormalization()(x)
        y = attention(
            arguments.heads,
            arguments.dim // arguments.heads,
            dropout=rates[f"dropout_attention_{i}"],
        )(y, y, use_causal_mask=True)
        x = keras.layers.Add()([x, stn.layers.Dropout(residual)(y)])
        y = keras.layers.LayerNormalization()(x)
        y = dense(arguments.feed_forward, activation="gelu")(y)
        y = dense(arguments.dim)(y)
        x = keras.layers.Add()([x, stn.layers.Dropout(residual)(y)])
    x = keras.layers.LayerNormalization()(x)
    x = stn.layers.Dropout(rates["dropout_output"])(x)
    return keras.Model(inputs, dense(vocabulary_size)(x))


def rate_names(blocks):
    """The names of all dropout rates, in the network's order."""
    inside = [
        f"dropout_{part}_{i}"
        for i in range(1, blocks + 1)
        for part in ("attention", "residual")
    ]
    return ["dropout_input", *inside, "dropout_output"]


def build_self_tuned(vocabulary_size, arguments):
    """The transformer with tunable rates, compiled."""
    rates = {
        name: stn.Float(name, 0.0, 0.9, default=START)
        for name in rate_names(arguments.blocks)
    }
    network = build_network(
        vocabulary_size,
        rates,
        arguments,
        stn.layers.HyperEmbedding,
        stn.layers.HyperMultiHeadAttention,
        stn.layers.HyperDense,
    )
    model = stn.SelfTuningModel(
        network, groups=arguments.groups, preset="paper"
    )
    model.compile(
        hyper_optimizer=keras.optimizers.Adam(arguments.hyper_learning_rate),
        **compile_arguments(arguments),
    )
    return model


def build_fixed(vocabulary_size, arguments):
    """The plain Keras transformer at the starting values, compiled."""
    rates = dict.fromkeys(rate_names(arguments.blocks), START)
    model = build_network(vocabulary_size, rates, arguments)
    model.compile(**compile_arguments(arguments))
    return model


def compile_arguments(arguments):
    """What both transformers are compiled with."""
    return {
        "optimizer": keras.optimizers.Adam(arguments.learning_rate),
        "loss": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        "metrics": [stn.metrics.Perplexity(from_logits=True)],
    }


def train(model, data, arguments, verbose, callbacks=()):
    """Trains a model; returns its history and its best epoch's figures."""
    training, validation, test = data
    # Brings back the weights, and with them the hyperparameters, of the epoch
    # with the least validation perplexity.
    best = keras.callbacks.EarlyStopping(
        monitor="val_perplexity",
        mode="min",
        patience=arguments.epochs,
        restore_best_weights=True,
    )
    is_tuned = isinstance(model, stn.SelfTuningModel)
    begin = time.perf_counter()
    history = model.fit(
        training,
        epochs=arguments.epochs,
        validation_data=validation,
        # The dataset shuffles its batches itself.
        shuffle=False,
        verbose=verbose,
        callbacks=[best, *callbacks],
        **({"warmup_epochs": arguments.warmup_epochs} if is_tuned else {}),
    ).history
    seconds = time.perf_counter() - begin
    figures = model.evaluate(test, verbose=0, return_dict=True)
    perplexities = history["val_perplexity"]
    return history, {
        "best validation": min(perplexities),
        "best epoch": 1 + int(np.argmin(perplexities)),
        "last validation": perplexities[-1],
        "test perplexity": figures["perplexity"],
        "seconds": seconds,
    }


def load(arguments):
    """The vocabulary's size, and the batches of the three parts."""
    folder = arguments.data_dir
    if folder is None:
        folder = arguments.output / "grammar"
        write_text(folder)
    corpus = language.load(folder, arguments.max_words)
    parts = (
        corpus.train[: arguments.train_words],
        corpus.validation[: arguments.validation_words],
        corpus.test[: arguments.test_words],
    )
    training, validation, test = (
        language.to_segments(ids, arguments.batch_size, arguments.length)
        for ids in parts
    )
    training = training.shuffle(len(training), seed=arguments.seed)
    return len(corpus.vocabulary), (training, validation, test)


def draw(tuned, fixed, names, path):
    """Draws the schedule of the rates beside the validation perplexities."""
    figure, (left, right) = pyplot.subplots(
        1, 2, figsize=(10, 3.8), layout="constrained"
    )
    epochs = np.arange(1, len(tuned["loss"]) + 1)
    for name in names:
        _, part, *block = name.split("_")
        left.plot(
            [0, *epochs],
            [START, *tuned[name]],
            color=COLORS[part],
            linestyle=STYLES[int(*block or "1") % len(STYLES) - 1],
            label=" ".join([part, *block]),
        )
    left.set(
        xlabel="epoch",
        ylabel="dropout rate",
        title="The rates that the transformer gave itself",
        ylim=(0, None),
    )
    right.plot(
        epochs, tuned["val_perplexity"], color="#0072B2", label="self-tuned"
    )
    right.plot(
        epochs,
        fixed["val_perplexity"],
        color="0.5",
        linestyle="--",
        label=f"fixed at {START}",
    )
    right.set(
        xlabel="epoch", ylabel="perplexity", title="Validation perplexity"
    )
    for axes in (left, right):
        axes.legend(frameon=False, fontsize="small")
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--data-dir", help="folder of train.txt, valid.txt and test.txt")
    add("--quick", action="store_true", help="few words, two epochs: seconds")
    add("--train-words", type=int, help="use only the first so many")
    add("--validation-words", type=int, help="use only the first so many")
    add("--test-words", type=int, help="use only the first so many")
    add("--max-words", type=int, help="size of the vocabulary; <unk> the rest")
    add("--dim", type=int, default=64, help="size of the vectors")
    add("--heads", type=int, default=4, help="attention heads")
    add("--blocks", type=int, default=2, help="attention and feed-forward")
    add("--feed-forward", type=int, default=128, help="units inside")
    add("--length", type=int, default=32, help="words of a segment")
    add("--batch-size", type=int, default=16)
    add("--groups", type=int, default=8, help="perturbations a batch")
    add("--epochs", type=int, default=30)
    add("--warmup-epochs", type=int, default=0, help="before tuning begins")
    add("--learning-rate", type=float, default=2e-3)
    add(
        "--hyper-learning-rate",
        type=float,
        default=0.03,
        help="Adam's step for the hyperparameters",
    )
    add("--seed", type=int, default=0)
    add("--output", type=pathlib.Path, default="results/transformer_text")
    arguments = parser.parse_args()
    if arguments.quick:
        # What was asked for by name still counts.
        parser.set_defaults(
            train_words=3000,
            validation_words=1500,
            test_words=1500,
            epochs=2,
        )
        arguments = parser.parse_args()
    for name in ("epochs", "blocks", "heads", "length", "batch_size"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1")
    if arguments.dim % arguments.heads:
        parser.error(
            "--dim must be a multiple of --heads. Received: "
            f"--dim={arguments.dim}, --heads={arguments.heads}"
        )
    return arguments


def main():
    arguments = parse_arguments()
    arguments.output.mkdir(parents=True, exist_ok=True)
    vocabulary_size, data = load(arguments)
    print(f"{vocabulary_size} words; the transformer tunes its dropouts.")
    keras.utils.set_random_seed(arguments.seed)
    model = build_self_tuned(vocabulary_size, arguments)
    model.summary()
    schedule = keras.callbacks.CSVLogger(arguments.output / "schedule.csv")
    tuned, tuned_figures = train(
        model, data, arguments, verbose=2, callbacks=[schedule]
    )
    print("\nThe same transformer at the starting values.")
    keras.utils.set_random_seed(arguments.seed)
    fixed, fixed_figures = train(
        build_fixed(vocabulary_size, arguments), data, arguments, verbose=0
    )
    names = rate_names(arguments.blocks)
    draw(tuned, fixed, names, arguments.output / "schedule.png")
    best = tuned_figures["best epoch"] - 1
    print("\nhyperparameter        start   best epoch   last epoch")
    for name in names:
        print(
            f"{name:<20} {START:>6.2f} {tuned[name][best]:>12.2f} "
            f"{tuned[name][-1]:>12.2f}"
        )
    runs = {"self-tuned": [tuned_figures], f"fixed at {START}": [fixed_figures]}
    print_table(runs)
    save_table(runs, arguments.output / "table.csv")
    print(f"\nSchedule, table and picture are in {arguments.output}/")


if __name__ == "__main__":
    main()
