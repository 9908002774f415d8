"""What `sensitivity.py` trains: the quickstart's network and an LSTM."""

import argparse
import statistics
import time

import keras
import language_model
import quickstart
from keras import ops

from keras_stn.hyperparameters.transforms import inverse_softplus

# Thirty batches an epoch, or a multiple, hold a whole number of cycles at
# every ratio: the last cycle of an epoch is not cut short.
DEFAULTS = {
    "image": {
        "train_images": 960,
        "validation_images": 1000,
        "batch_size": 32,
        "epochs": 8,
        "hyper_learning_rate": 0.03,
    },
    "language": {
        "train_words": 12_020,
        "validation_words": 4_000,
        "test_words": 4_000,
        "max_words": 2_000,
        "units": 32,
        "layers": 1,
        "batch_size": 20,
        "length": 20,
        "epochs": 10,
        "warmup_epochs": 1,
        "learning_rate": 7.0,
        "hyper_learning_rate": 0.03,
    },
}
# For tests: what it costs is mostly the making of graphs. A warm-up has graphs
# of its own, and so has a cycle that an epoch's end cuts short; ten batches of
# text hold whole cycles at every usual ratio but 15:15.
QUICK = {
    "image": {"train_images": 128, "validation_images": 64, "epochs": 2},
    "language": {
        "train_words": 404,
        "validation_words": 200,
        "test_words": 200,
        "units": 8,
        "batch_size": 4,
        "length": 10,
        "epochs": 2,
        "warmup_epochs": 0,
    },
}


class ImageProblem:
    """The network of `quickstart.py`, on images of Fashion-MNIST.

    Args:
        arguments: The command line's arguments.
    """

    measure = "loss"
    scale = "tuned"

    def __init__(self, arguments):
        self.arguments = arguments
        is_sample = arguments.data_dir is None
        dataset = "sample" if is_sample else "fashion_mnist"
        self.data = quickstart.load(
            argparse.Namespace(**vars(arguments), dataset=dataset)
        )

    def run(self, steps, scale, folder):
        """One training.

        Args:
            steps: Pair of integers, training and tuning steps a cycle.
            scale: Float, the scale of all perturbations, or `"tuned"`.
            folder: Path of the folder to write `log.csv` to.

        Returns:
            Dictionary of figures.
        """
        arguments = self.arguments
        model = quickstart.build_self_tuned(
            arguments.hyper_learning_rate,
            preset="paper",
            **settings(steps, scale),
        )
        set_scale(model, scale)
        stopwatch = Stopwatch()
        _, figures = quickstart.train(
            model,
            self.data,
            arguments.epochs,
            verbose=0,
            callbacks=[
                stopwatch,
                keras.callbacks.CSVLogger(folder / "log.csv"),
            ],
            batch_size=arguments.batch_size,
        )
        return count_updates(model) | {
            "best epoch": figures["best epoch"],
            "best validation loss": figures["validation loss"],
            "last validation loss": figures["last validation loss"],
            "test loss": figures["test loss"],
            "test accuracy": figures["test accuracy"],
            **stopwatch.figures,
        }


class LanguageProblem:
    """The network of `language_model.py`, on the words of a folder.

    Its learning rate stays, and so does the number of its epochs: runs whose
    rates decay at different times would not compare.

    Args:
        arguments: The command line's arguments.
    """

    measure = "perplexity"
    # As in the paper and in `language_model.py`, scales stay at 1.
    scale = 1.0

    def __init__(self, arguments):
        self.arguments = argparse.Namespace(
            **vars(arguments),
            random_lengths=False,
            baseline=None,
            groups=4,
            clip=0.25,
            xla=False,
            decay_patience=arguments.epochs + 1,
            patience=arguments.epochs + 1,
        )
        self.vocabulary_size, self.data = language_model.load(self.arguments)

    def run(self, steps, scale, folder):
        """One training, with arguments and figures as of `ImageProblem`."""
        model = language_model.build(
            self.vocabulary_size, self.arguments, **settings(steps, scale)
        )
        set_scale(model, scale)
        stopwatch = Stopwatch()
        history, seconds = language_model.train(
            model, self.data, self.arguments, folder, [stopwatch]
        )
        figures = language_model.report(
            model, history, seconds, self.data, folder
        )
        return count_updates(model) | {
            "best epoch": figures["best epoch"],
            "best validation perplexity": figures["validation perplexity"],
            "last validation perplexity": figures["last validation"],
            "test perplexity": figures["test perplexity"],
            **stopwatch.figures,
        }


PROBLEMS = {"image": ImageProblem, "language": LanguageProblem}


class Stopwatch(keras.callbacks.Callback):
    """Takes the time of a training, without the test after it.

    Seconds on the clock depend on what else the machine does, the
    processor's much less; the median spares them the making of graphs.
    """

    def on_train_begin(self, logs=None):
        self._begin = time.perf_counter()
        self._epochs = []

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch_begin = time.process_time()

    def on_epoch_end(self, epoch, logs=None):
        self._epochs.append(time.process_time() - self._epoch_begin)

    def on_train_end(self, logs=None):
        self.figures = {
            "seconds": time.perf_counter() - self._begin,
            "CPU seconds an epoch": statistics.median(self._epochs),
        }


def settings(steps, scale):
    """The arguments of `SelfTuningModel` that a run asks for."""
    train_steps, tuning_steps = steps
    return {
        "train_steps": train_steps,
        "tuning_steps": tuning_steps,
        "tune_scales": scale == "tuned",
    }


def set_scale(model, scale):
    """Gives all perturbations one scale; tuned ones start as declared."""
    if scale != "tuned":
        raw_scale = model.hyperparameters.raw_scale
        raw_scale.assign(ops.full_like(raw_scale, inverse_softplus(scale)))


def count_updates(model):
    """How often weights and hyperparameters were updated."""
    return {
        "weight updates": int(model.optimizer.iterations),
        "tuning updates": int(model.hyper_optimizer.iterations),
    }
