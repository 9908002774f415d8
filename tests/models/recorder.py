"""Optimizers that show what a model hands to them."""

import keras
import tensorflow as tf


class Recorder(keras.optimizers.SGD):
    """Keeps the gradients that it gets, and updates nothing."""

    def apply(self, grads, trainable_variables=None):
        for gradient, variable in zip(grads, trainable_variables):
            self.gradients[variable.path].assign(gradient)

    def build(self, variables):
        super().build(variables)
        self.gradients = {v.path: tf.Variable(v) for v in variables}


def recorders():
    return {
        "optimizer": Recorder(),
        "hyper_optimizer": Recorder(),
        "scale_optimizer": Recorder(),
    }
