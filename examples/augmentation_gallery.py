"""Draw what every augmentation layer does, and how cutout is relaxed.

    python examples/augmentation_gallery.py

writes `layers.png`, an image of CIFAR-10 under every layer at growing
strengths, and `relaxation.png`, cutout's mask between one hole and two at
several temperatures, to `results/gallery`.
"""

import argparse
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import matplotlib
import numpy as np

import keras_stn as stn
from keras_stn.datasets import cifar10

matplotlib.use("Agg")
from matplotlib import pyplot

STRENGTHS = (0.0, 0.1, 0.25, 0.5, 1.0)
COPIES = 2
PIXELS = {"value_range": (0, 255)}
LAYERS = {
    "RandomHue": lambda s: stn.layers.RandomHue(s, **PIXELS),
    "RandomSaturation": lambda s: stn.layers.RandomSaturation(s, **PIXELS),
    "RandomBrightness": lambda s: stn.layers.RandomBrightness(s, **PIXELS),
    "RandomContrast": lambda s: stn.layers.RandomContrast(s, **PIXELS),
    "RandomInputScale": lambda s: stn.layers.RandomInputScale(s),
    "RandomCutout\n(4 holes, 16 s pixels)": lambda s: stn.layers.RandomCutout(
        4, round(16 * s)
    ),
    "RandomTranslation": lambda s: stn.layers.RandomTranslation(s, s),
    "RandomRotation": lambda s: stn.layers.RandomRotation(s),
    "RandomZoom": lambda s: stn.layers.RandomZoom(s),
    "RandomShear": lambda s: stn.layers.RandomShear(s, s),
    "RandomGaussianBlur\n(sigma = s)": lambda s: stn.layers.RandomGaussianBlur(
        factor=(1, 1), kernel_size=5, sigma=s, **PIXELS
    ),
}
TEMPERATURES = (0.05, 0.25, 0.5, 1.0, 2.0)
HOLES = (1.5, 1.75, 2.0, 2.25, 2.5)


def draw_layers(image, path):
    """A row a layer, a pair of columns a strength."""
    images = np.repeat(image[None], COPIES, axis=0).astype("float32")
    figure, grid = pyplot.subplots(
        len(LAYERS),
        len(STRENGTHS) * COPIES,
        figsize=(10.5, 0.88 * len(LAYERS)),
        layout="constrained",
    )
    set_titles(
        grid[0, ::COPIES], [f"s = {strength:g}" for strength in STRENGTHS]
    )
    for row, (name, make) in zip(grid, LAYERS.items()):
        for i, strength in enumerate(STRENGTHS):
            augmented = make(strength)(images, training=True)
            for copy, pixels in enumerate(
                keras.ops.convert_to_numpy(augmented)
            ):
                axes = row[i * COPIES + copy]
                axes.imshow(
                    np.clip(pixels / 255, 0, 1), interpolation="nearest"
                )
        row[0].set_ylabel(name, rotation=0, ha="right", va="center")
    hide_ticks(grid, frame=False)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def draw_relaxation(path):
    """Cutout's mask: a row a temperature, a column a number of holes."""
    layer = stn.layers.RandomCutout(2, 8)
    images = np.ones((1, 24, 24, 1), "float32")
    figure, grid = pyplot.subplots(
        len(TEMPERATURES),
        len(HOLES) + 1,
        figsize=(8.5, 6.6),
        layout="constrained",
    )
    titles = [f"holes {holes:g}" for holes in HOLES]
    set_titles(grid[0], [*titles, f"exact, {titles[-1]}"])
    for row, temperature in zip(grid, TEMPERATURES):
        for column, axes in enumerate(row):
            is_hard = column == len(HOLES)
            holes = HOLES[-1 if is_hard else column]
            layer.relaxation = "hard" if is_hard else "soft"
            layer.temperature = temperature
            mask = layer.transform_images(
                images,
                {
                    "rows": np.array([[8, 15]]),
                    "columns": np.array([[7, 16]]),
                    "holes": holes,
                    "length": 8.5,
                },
            )
            axes.imshow(np.squeeze(mask), cmap="gray", vmin=0, vmax=1)
        row[0].set_ylabel(f"temperature {temperature:g}")
    hide_ticks(grid)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def set_titles(row, titles):
    for axes, title in zip(row, titles):
        axes.set_title(title, fontsize="medium")


def hide_ticks(grid, frame=True):
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set(visible=frame, color="0.7")


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--data-dir", help="folder of TensorFlow Datasets")
    parser.add_argument("--image", type=int, default=0, help="which image")
    parser.add_argument(
        "--output", type=pathlib.Path, default=pathlib.Path("results/gallery")
    )
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    arguments.output.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(0)
    (images, _), _, _ = cifar10.load(arguments.data_dir)
    draw_layers(images[arguments.image], arguments.output / "layers.png")
    draw_relaxation(arguments.output / "relaxation.png")
    print(f"The pictures are in {arguments.output}/")


if __name__ == "__main__":
    main()
