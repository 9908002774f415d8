import contextlib
import threading

import keras
from keras import ops

from keras_stn import backend


class BuiltWeights:
    """The weights W(λ) of an evaluation, built once for all of its batches.

    While a model is evaluated neither its weights nor its hyperparameters
    change, so its layers may read from here what they would compute for each
    batch anew. What is built lies in variables that are made when they are
    first needed, and that are no part of the model's state.

    Args:
        model: The `SelfTuningModel`. It must not get new hyperparameters.
    """

    def __init__(self, model):
        self._model = model
        self._variables = {}
        self._build = None
        self._thread = ThreadState()
        self._is_reading = False

    @contextlib.contextmanager
    def kept(self):
        """Builds the weights once for all batches inside, at the first."""
        state = self._thread
        was_open = state.is_open
        state.is_open, state.are_current = True, False
        try:
            yield
        finally:
            # A callback may evaluate as well, with other weights.
            state.is_open, state.are_current = was_open, False

    def choose(self, reading, building):
        """Makes a function that reads the built weights where it may.

        Args:
            reading: Callable with one argument that calls the model.
            building: Another one that does the same.

        Returns:
            Callable that calls `reading` inside of `kept`, where the model
            reads from here, and `building` outside of it.
        """

        def function(data):
            # A network without an input shape is built by its first batch.
            if not self._thread.is_open or not self._model.built:
                return building(data)
            if self._model.is_centered:  # Kernels are the weights.
                return building(data)
            self._make_current()
            self._thread.is_reading = self._is_reading = True
            try:
                return reading(data)
            finally:
                self._thread.is_reading = self._is_reading = False

        return function

    @property
    def are_read(self):
        """Whether the model's layers are to read from here now."""
        if self._model._distribute_strategy is not None:
            # Each replica calls the model in a thread of its own.
            return self._is_reading
        # Another thread's graph would read from here for ever.
        return self._thread.is_reading

    def read(self, layer, name, dtype):
        """A weight that has been built.

        Args:
            layer: A `ResponseLayer`.
            name: String, one of the layer's `responding`.
            dtype: String, the dtype of the result.

        Returns:
            Tensor of the weight's shape, or `None` if it is not at hand.
        """
        variable = self._variables.get((layer, name))
        if variable is None or variable.dtype != dtype:
            return None
        return ops.convert_to_tensor(variable)

    def _make_current(self):
        if self._thread.are_current:
            return
        with self._model.distribute_strategy.scope():
            if self._build is None:
                self._make_variables()
                self._build = backend.compiled(self._assign)
            self._build()
        self._thread.are_current = True

    def _make_variables(self):
        for layer in self._model._response_layers():
            if not (layer.responds and layer.is_built_once):
                continue
            for name in layer.responding_names():
                self._variables[layer, name] = keras.Variable(
                    "zeros",
                    shape=getattr(layer, name).shape,
                    dtype=layer.compute_dtype,
                    trainable=False,
                    name=f"built_{name}",
                )

    def _assign(self):
        sample = self._model.hyperparameters.sample(perturb=False)
        for (layer, name), variable in self._variables.items():
            variable.assign(layer.weight_at(name, sample))


class ThreadState(threading.local):
    """What an evaluation in one thread knows, and no other thread."""

    is_open = False
    are_current = False
    is_reading = False
