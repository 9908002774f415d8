"""Tune all regularization of a network on Fashion-MNIST in one training run.

    python examples/fashion_mnist.py

tunes the 6 hyperparameters of the convolutional network of Bae and Grosse
(2020): a dropout rate for the input and each layer, and number and length of
cutout's holes. `--model mlp` tunes the 3 of their dense network.
Fashion-MNIST comes from TensorFlow Datasets, the last 20 % of its training
images tune. It writes a log of every epoch, a picture of the schedules, and
one of augmented images at the start and at the end.

    python examples/fashion_mnist.py --quick

does it within five minutes on two cores, with few images and epochs.

    python examples/fashion_mnist.py --baseline start
    python examples/fashion_mnist.py --baseline FILE

train the same network with the values held fixed where the tuned run began,
and where it was best: FILE is the `values.json` that it wrote.
"""

import image_experiment

from keras_stn.datasets import fashion_mnist

DEFAULTS = {
    "epochs": 200,
    "warmup_epochs": 5,
    "learning_rate": 0.01,
    "hyper_learning_rate": 1e-2,
    "train_steps": 5,
    "entropy_weight": 1e-3,
    "decay_patience": 60,
    "patience": 75,
}


def main():
    arguments = image_experiment.parse_arguments(
        __doc__, ["simple_cnn", "mlp"], DEFAULTS
    )
    image_experiment.run(arguments, fashion_mnist.load, "fashion-mnist")


if __name__ == "__main__":
    main()
