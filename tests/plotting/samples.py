"""Schedules to draw, as a `ScheduleLogger` writes them."""

import csv
import json

import numpy as np

DROPOUTS = [
    *(f"dropout_conv_{i}" for i in range(1, 6)),
    *("dropout_dense_1", "dropout_dense_2", "dropout_input"),
]
STRENGTHS = ["brightness", "contrast", "saturation", "hue", "input_scale"]
# Those of AlexNet.
NAMES = [*DROPOUTS, *STRENGTHS, "cutout_holes", "cutout_length"]
ROWS = 40


def make_columns(names=NAMES, rows=ROWS):
    """Columns of a schedule in which lines end at nearly the same value."""
    time = np.arange(rows)
    columns = {
        "step": 20 * time,
        "epoch": time // 4,
        "wall_time": 1.7e9 + time,
        "loss": np.where(time, 2.0 / (time + 1), np.nan),
        "val_loss": np.where(time % 4 == 3, 1.0, np.nan),
        "entropy": np.full(rows, 3.0),
    }
    for i, name in enumerate(names):
        values = 0.05 + 0.005 * time + 0.0001 * i * time
        width = 0.02
        if name.startswith("cutout"):
            values, width = 1 + time // 10, 1
        columns |= {
            name: values,
            f"{name}_scale": np.full(rows, 0.5),
            f"{name}_lower": values - width,
            f"{name}_upper": values + width,
        }
    return {name: np.asarray(c, "float64") for name, c in columns.items()}


def write(path, columns):
    """Writes columns to a `.csv` or `.jsonl` file."""
    rows = [
        {n: "" if np.isnan(v) else float(v) for n, v in zip(columns, row)}
        for row in zip(*columns.values())
    ]
    with path.open("w", newline="") as file:
        if path.suffix == ".csv":
            writer = csv.DictWriter(file, list(columns))
            writer.writeheader()
            writer.writerows(rows)
        else:
            file.writelines(json.dumps(row) + "\n" for row in rows)
    return path
