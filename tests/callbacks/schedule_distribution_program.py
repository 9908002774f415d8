"""Logs a run on one device and one on two, for `schedule_logger_test.py`.

python -m tests.callbacks.schedule_distribution_program FOLDER
"""

import os
import pathlib
import sys

import tensorflow as tf

from keras_stn.callbacks import ScheduleLogger
from tests.models.distribution_program import fit
from tests.models.distribution_program import make_model
from tests.models.distribution_program import mirrored


def main():
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * 2
    )
    folder = pathlib.Path(sys.argv[1])
    for name, strategy in (
        ("one", tf.distribute.get_strategy()),
        ("two", mirrored()),
    ):
        logger = ScheduleLogger(folder / f"{name}.csv", "batch")
        fit(make_model(strategy), callbacks=[logger])
    sys.stdout.flush()
    sys.stderr.flush()
    # The threads of two devices may outlive the interpreter.
    os._exit(0)


if __name__ == "__main__":
    # TensorFlow sometimes waits for up to a minute before it lets go of an
    # iterator that it tunes the speed of.
    tf.data.experimental.enable_debug_mode()
    main()
