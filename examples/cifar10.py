"""Tune all regularization of a network on CIFAR-10 in one training run.

    python examples/cifar10.py --model alexnet

tunes the 15 hyperparameters of MacKay et al. (2019): a dropout rate for each
layer, dropout and scale of the input, the strengths of four jitters of
colour, and number and length of cutout's holes. CIFAR-10 comes from
TensorFlow Datasets, the last 20 % of its training images tune. It writes a
log of every epoch, the schedule of every step and its picture, and one of
augmented images at the start and at the end.

    python examples/cifar10.py --quick

does it within five minutes on two cores, with few images and epochs.

    python examples/cifar10.py --baseline start
    python examples/cifar10.py --baseline FILE

train the same network with the values held fixed where the tuned run began,
and where it was best: FILE is the `values.json` that it wrote.
"""

import image_experiment

from keras_stn.datasets import cifar10

DEFAULTS = {
    "epochs": 500,
    "warmup_epochs": 5,
    "learning_rate": 0.01,
    "hyper_learning_rate": 3e-3,
    "train_steps": 2,
    "entropy_weight": 1e-5,
    "decay_patience": 60,
    "patience": 75,
}


def main():
    arguments = image_experiment.parse_arguments(
        __doc__, ["small_cnn", "alexnet", "vgg16", "resnet18"], DEFAULTS
    )
    image_experiment.run(arguments, cifar10.load, "cifar10")


if __name__ == "__main__":
    main()
