"""Compare the speed of augmentation: in the network, in Keras, image by image.

    python examples/benchmarks/augmentation.py

augments batches of random images of the size of CIFAR-10's on the CPU, in one
process, in turns, with jitter of brightness, contrast, saturation and hue,
and with one hole of 8 x 8 pixels:

- keras_stn: `RandomColorJitter` and `RandomCutout`, each image with strengths
  of its own, in a TensorFlow graph and compiled by XLA;
- Keras: `RandomColorJitter` and `RandomErasing`, in a TensorFlow graph, with
  the same strengths for all images;
- PIL: an image at a time, as the loader of the authors' code does it, in one
  process: jitters in random order, then the hole.

It prints images per second, as medians over the rounds, and ratios to PIL.
"""

import argparse
import os
import random
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from PIL import Image
from PIL import ImageEnhance

import keras_stn as stn
from keras_stn.hyperparameters import HyperparameterSpace
from keras_stn.layers.hyper_layer import find_declarations

STRENGTH = 0.3
HOLE = 8


def build_ours(batch_size, jit_compile):
    """Our layers, with strengths of its own for each image."""
    network = keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            stn.layers.RandomColorJitter(
                **{
                    f"{name}_factor": stn.Float(
                        name, 0.0, 1.0, default=STRENGTH
                    )
                    for name in ("brightness", "contrast", "saturation", "hue")
                }
            ),
            stn.layers.RandomCutout(
                stn.Int("holes", 0, 2, default=1),
                stn.Int("length", 0, 16, default=HOLE),
            ),
        ]
    )
    space = HyperparameterSpace(find_declarations(network))

    @tf.function(jit_compile=jit_compile)
    def augment(images):
        return network(
            images, training=True, hyperparameters=space.sample(batch_size)
        )

    return augment


def build_keras():
    """Keras's layers, at one strength."""
    network = keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            keras.layers.RandomColorJitter(
                brightness_factor=STRENGTH,
                contrast_factor=STRENGTH,
                saturation_factor=(0.35, 0.65),
                hue_factor=STRENGTH,
            ),
            keras.layers.RandomErasing(scale=(0.0625, 0.0625), fill_value=0.0),
        ]
    )
    return tf.function(lambda images: network(images, training=True))


def augment_with_pil(images):
    """An image at a time: jitters in random order, then the hole."""
    outputs = np.empty(images.shape, "float32")
    for i, image in enumerate(images):
        image = Image.fromarray(image)
        jitters = [
            lambda image: enhance(ImageEnhance.Brightness, image),
            lambda image: enhance(ImageEnhance.Contrast, image),
            lambda image: enhance(ImageEnhance.Color, image),
            rotate_hue,
        ]
        random.shuffle(jitters)
        for jitter in jitters:
            image = jitter(image)
        output = np.asarray(image, "float32")
        outputs[i] = output * hole_mask(*output.shape[:2])
    return outputs


def enhance(enhancer, image):
    """Brightness, contrast or saturation, between 1 - and 1 + strength."""
    factor = random.uniform(1 - STRENGTH, 1 + STRENGTH)
    return enhancer(image).enhance(factor)


def rotate_hue(image):
    """Adds to the hue channel, which wraps around."""
    hue, saturation, value = image.convert("HSV").split()
    turns = random.uniform(-STRENGTH / 2, STRENGTH / 2)
    rotated = np.asarray(hue, "uint8") + np.array(turns * 255).astype("uint8")
    channels = (Image.fromarray(rotated, "L"), saturation, value)
    return Image.merge("HSV", channels).convert("RGB")


def hole_mask(height, width):
    """Ones with a square hole."""
    mask = np.ones((height, width, 1), "float32")
    y, x = np.random.randint(height), np.random.randint(width)
    top, left = max(y - HOLE // 2, 0), max(x - HOLE // 2, 0)
    mask[top : y + HOLE // 2, left : x + HOLE // 2] = 0
    return mask


def images_per_second(augment, images, repeats):
    """How many images a second of wall-clock time."""
    begin = time.perf_counter()
    for _ in range(repeats):
        outputs = augment(images)
    # Waits until everything has been computed.
    np.asarray(outputs)
    return repeats * len(images) / (time.perf_counter() - begin)


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--repeats", type=int, default=20)
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    shape = (arguments.batch_size, 32, 32, 3)
    pixels = np.random.default_rng(0).integers(0, 256, shape, "uint8")
    floats = tf.constant(pixels, "float32")
    runs = {
        "PIL, an image at a time": (augment_with_pil, pixels, 1),
        "Keras, graph": (build_keras(), floats, arguments.repeats),
        "keras_stn, graph": (
            build_ours(arguments.batch_size, False),
            floats,
            arguments.repeats,
        ),
        "keras_stn, XLA": (
            build_ours(arguments.batch_size, True),
            floats,
            arguments.repeats,
        ),
    }
    for augment, images, _ in runs.values():
        augment(images)
    rates = {name: [] for name in runs}
    for _ in range(arguments.rounds):
        for name, run in runs.items():
            rates[name].append(images_per_second(*run))
    first = statistics.median(next(iter(rates.values())))
    print(f"{'':<26}{'images/s':>10}{'spread':>16}{'to PIL':>8}")
    for name, values in rates.items():
        median = statistics.median(values)
        spread = f"{min(values):.0f}-{max(values):.0f}"
        print(f"{name:<26}{median:>10.0f}{spread:>16}{median / first:>8.1f}")


if __name__ == "__main__":
    main()
