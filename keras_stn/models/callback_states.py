"""What callbacks remember from epoch to epoch."""

import hashlib
import json
import os
import warnings

import keras
import numpy as np
from keras.src.callbacks.monitor_callback import MonitorCallback

from keras_stn.callbacks.schedule_logger import ScheduleLogger
from keras_stn.models import training_state

# What `fit` sets, and what callbacks must not get from another process.
NOT_STATE = {"params", "_model", "model", "validation_data"}


class CallbackStates:
    """Saves and restores what callbacks remember.

    That is every attribute which is plain data (numbers, strings, `None`,
    NumPy arrays, and lists, tuples, sets and dictionaries of them), or an
    object that has only such attributes, and has changed since training began.
    So the arguments of a callback, the time of its start or an open file are
    left alone.

    Args:
        callbacks: List of callbacks, at the end of their `on_train_begin`.
    """

    def __init__(self, callbacks):
        self._callbacks = [
            callback
            for callback in callbacks
            if not isinstance(callback, keras.callbacks.ProgbarLogger)
        ]
        self._at_start = [
            {name: digest(value) for name, value in attributes(callback)}
            for callback in self._callbacks
        ]

    def read(self):
        """What has changed.

        Returns:
            Pair of a dictionary that can be written as JSON, and a list of
            arrays.
        """
        states, arrays = {}, []
        for name, callback, at_start in zip(
            names_of(self._callbacks), self._callbacks, self._at_start
        ):
            changed = {
                attribute: encode(value, arrays)
                for attribute, value in attributes(callback)
                if at_start.get(attribute) != digest(value)
            }
            if isinstance(callback, keras.callbacks.CSVLogger):
                changed["length"] = os.path.getsize(callback.filename)
            if isinstance(callback, ScheduleLogger):
                changed["last_step"] = callback._file.last_step
            if changed:
                states[name] = changed
        return states, arrays

    def restore(self, states, arrays):
        """Gives callbacks back what they remembered.

        Args:
            states: Dictionary, from `read`.
            arrays: List of arrays, from `read`.
        """
        found = dict(zip(names_of(self._callbacks), self._callbacks))
        for name, changed in states.items():
            if name not in found:
                warnings.warn(
                    "The checkpoint has the state of a callback that `fit` "
                    "was not given this time. It is lost. Pass the same "
                    f"callbacks to go on as before. Received: no {name}",
                    stacklevel=2,
                )
                continue
            callback = found[name]
            changed = dict(changed)
            if isinstance(callback, keras.callbacks.CSVLogger):
                cut(callback, changed.pop("length"))
            if isinstance(callback, ScheduleLogger):
                # It dropped later rows by itself, but wrote one for the start.
                callback._file.drop_after(changed.pop("last_step"))
            for attribute, value in changed.items():
                holder = callback
                if "." in attribute:
                    part, attribute = attribute.split(".")
                    holder = getattr(callback, part, None)
                if holder is not None:
                    setattr(holder, attribute, decode(value, arrays))


def names_of(callbacks):
    """The class of each callback, and its number among those of the class."""
    counts = {}
    names = []
    for callback in callbacks:
        name = f"{type(callback).__module__}.{type(callback).__qualname__}"
        counts[name] = counts.get(name, 0) + 1
        names.append(f"{name} {counts[name]}")
    return names


def attributes(callback):
    """Pairs of the name and value of what is plain data."""
    ignored = set(NOT_STATE)
    if isinstance(callback, MonitorCallback):
        # Keras turns its sign when it first looks at a value.
        ignored.add("min_delta")
    if isinstance(callback, keras.callbacks.CSVLogger):
        ignored |= {"append", "append_header"}
    for name, value in vars(callback).items():
        if name in ignored:
            continue
        parts = vars(value) if hasattr(value, "__dict__") else {}
        if is_plain(value):
            yield name, value
        elif all(map(is_plain, parts.values())):
            for part, content in parts.items():
                yield f"{name}.{part}", content


def keep_rows(callbacks):
    """Lets log files be continued that a new run would begin anew."""
    for callback in callbacks:
        if isinstance(callback, keras.callbacks.CSVLogger):
            callback.append = True


def cut(logger, length):
    """Cuts off the rows that a `CSVLogger` wrote after the checkpoint."""
    length = min(length, os.path.getsize(logger.filename))
    logger.csv_file.truncate(length)
    logger.append_header = length == 0


def is_plain(value):
    try:
        encode(value, [])
    except (TypeError, RecursionError):
        return False
    return True


def encode(value, arrays):
    """Plain data as what can be written as JSON.

    Args:
        value: The data.
        arrays: List, to which arrays are appended.

    Raises:
        TypeError: If it is no plain data.
    """
    kind = type(value)
    if value is None or kind in (bool, int, float, str):
        return value
    if isinstance(value, np.ndarray | np.generic):
        array = np.asarray(value)
        if array.dtype.hasobject or array.dtype.names:
            raise TypeError(f"No plain data: {kind}")
        arrays.append(training_state.to_plain(array))
        which = "array" if isinstance(value, np.ndarray) else "number"
        return {which: [len(arrays) - 1, str(array.dtype)]}
    if kind is dict:
        value = [pair for item in value.items() for pair in item]
    elif kind not in (list, tuple, set):
        raise TypeError(f"No plain data: {kind}")
    return {kind.__name__: [encode(item, arrays) for item in value]}


def decode(value, arrays):
    """The inverse of `encode`."""
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind in ("array", "number"):
        index, dtype = content
        array = training_state.from_plain(arrays[index], dtype)
        return array.copy() if kind == "array" else array[()]
    items = [decode(item, arrays) for item in content]
    if kind == "dict":
        return dict(zip(items[::2], items[1::2]))
    return {"list": list, "tuple": tuple, "set": set}[kind](items)


def digest(value):
    """A short string that tells values apart."""
    arrays = []
    text = json.dumps(encode(value, arrays))
    hashed = hashlib.blake2b(text.encode())
    for array in arrays:
        hashed.update(repr(array.shape).encode())
        hashed.update(array.tobytes())
    return hashed.hexdigest()
