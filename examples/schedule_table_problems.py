"""What `schedule_table.py` trains: an LSTM and the quickstart's network."""

import argparse

import keras
import language_model
import quickstart

import keras_stn as stn
from keras_stn.datasets import fashion_mnist


class Language:
    """The language model, whose output dropout is tuned."""

    hyperparameters = ("dropout_output",)
    figures = ("perplexity",)
    digits = 2
    monitor = "val_perplexity"
    defaults = {
        "grid": [0.2, 0.4, 0.5, 0.6, 0.7, 0.8],
        "epochs": 16,
        "train_size": 30_000,
        "validation_size": 10_000,
        "test_size": 10_000,
        "units": 128,
        "batch_size": 20,
        "learning_rate": 20.0,
        "hyper_learning_rate": 0.03,
    }
    quick = {
        "grid": [0.2, 0.4, 0.6],
        "epochs": 16,
        "train_size": 12_000,
        "validation_size": 4000,
        "test_size": 4000,
        "units": 48,
    }

    def __init__(self, arguments):
        self.arguments = arguments
        self.vocabulary_size, self.data = language_model.load(
            argparse.Namespace(
                **vars(arguments),
                random_lengths=False,
                train_words=arguments.train_size,
                validation_words=arguments.validation_size,
                test_words=arguments.test_size,
            )
        )
        self.updates = len(self.data[0]) * arguments.epochs

    def build(self, is_tuned):
        arguments = self.arguments
        network = stn.applications.lstm_language_model(
            self.vocabulary_size,
            tuned=self.hyperparameters,
            values={"dropout_hidden": arguments.dropout_hidden},
            units=arguments.units,
            layers=arguments.layers,
            batch_size=arguments.batch_size,
            length=arguments.length,
        )
        model = network
        if is_tuned:
            model = stn.SelfTuningModel(
                network, groups=4, tune_scales=False, preset="paper"
            )
        # A learning rate that is the same for all rows depends on the step.
        rate = keras.optimizers.schedules.CosineDecay(
            arguments.learning_rate, self.updates, alpha=0.01
        )
        return model, language_model.compile_arguments(rate, clip=0.25)

    def fit(self, model, **kwargs):
        training, validation, _ = self.data
        return model.fit(
            training, shuffle=False, validation_data=validation, **kwargs
        )

    def evaluate(self, model, callbacks):
        return model.evaluate(
            self.data[2], verbose=0, return_dict=True, callbacks=callbacks
        )

    def callbacks(self, is_tuned):
        return [] if is_tuned else [language_model.ResetStates()]


class Image:
    """The network of the quickstart, whose three dropouts are tuned."""

    hyperparameters = quickstart.RATES
    figures = ("loss", "accuracy")
    digits = 4
    monitor = "val_loss"
    defaults = {
        "grid": [0.2, 0.3, 0.4, 0.5, 0.6, 0.7],
        "epochs": 30,
        "train_size": 2000,
        "validation_size": 1000,
        "test_size": 10_000,
        "units": None,
        "batch_size": 100,
        "learning_rate": 0.02,
        "hyper_learning_rate": 0.03,
    }
    quick = {"grid": [0.2, 0.4, 0.6], "epochs": 8, "test_size": 2000}

    def __init__(self, arguments):
        self.arguments = arguments
        if arguments.data_dir is None:
            parts = fashion_mnist.load_sample()
        else:
            parts = fashion_mnist.load(arguments.data_dir)
        sizes = ("train_size", "validation_size", "test_size")
        self.data = [
            quickstart.first(
                part,
                getattr(arguments, size),
                f"--{size.replace('_', '-')}",
            )
            for part, size in zip(parts, sizes)
        ]
        batches = -(-len(self.data[0][0]) // arguments.batch_size)
        self.updates = batches * arguments.epochs

    def build(self, is_tuned):
        rates = [
            stn.Float(name, 0.0, 0.9, default=quickstart.START)
            for name in self.hyperparameters
        ]
        if is_tuned:
            network = quickstart.build_network(
                rates, stn.layers.HyperConv2D, stn.layers.HyperDense
            )
            model = stn.SelfTuningModel(network, preset="paper")
        else:
            model = quickstart.build_network(rates)
        optimizer = keras.optimizers.SGD(
            self.arguments.learning_rate, momentum=0.9
        )
        return model, {
            **quickstart.compile_arguments(),
            "optimizer": optimizer,
        }

    def fit(self, model, **kwargs):
        training, validation, _ = self.data
        return model.fit(
            *training,
            batch_size=self.arguments.batch_size,
            validation_data=validation,
            **kwargs,
        )

    def evaluate(self, model, callbacks):
        return model.evaluate(
            *self.data[2], batch_size=500, verbose=0, return_dict=True
        )

    def callbacks(self, is_tuned):
        return []


PROBLEMS = {"language": Language, "image": Image}
