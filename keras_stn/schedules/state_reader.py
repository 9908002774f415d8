"""What a schedule tells of a model, read off it in one go."""

from keras import ops

from keras_stn import backend


class StateReader:
    """Reads the hyperparameters, their scales and the step of a model.

    All of it comes in one transfer from the device, whatever the number of
    hyperparameters.

    Args:
        model: A `SelfTuningModel`, built and compiled.
    """

    def __init__(self, model):
        self._model = model
        self._space = model.hyperparameters
        self._stack = backend.compiled(self._stack_state)
        self.columns = [
            f"{name}{ending}"
            for name in self._space.names
            for ending in ("", "_scale", "_lower", "_upper")
        ]

    def __call__(self):
        """Reads the state.

        Returns:
            Dictionary of Python numbers: `step`, the weight updates done so
            far; `entropy`; and for each hyperparameter `NAME`, `NAME_scale`,
            and `NAME_lower` and `NAME_upper`, the values one scale away.
        """
        step, entropy, *rest = ops.convert_to_numpy(self._stack()).tolist()
        state = {"step": int(step), "entropy": entropy}
        state.update(zip(self.columns, rest))
        for declaration in self._space.declarations:
            for ending in ("", "_lower", "_upper"):
                name = f"{declaration.name}{ending}"
                state[name] = declaration.to_python(state[name])
        return state

    def _stack_state(self):
        space = self._space
        # One call each: noise that examples share is taken from the first row.
        value, *ends = (
            space.sample(noise=ops.full((1, len(space)), noise))
            for noise in (0.0, -1.0, 1.0)
        )
        value, *ends = (space.means(sample) for sample in (value, *ends))
        rows = [self._model.optimizer.iterations, space.entropy()]
        for name, scale in space.mean_scales().items():
            # Where a range has an upper end alone, the map decreases.
            low, high = (end[name] for end in ends)
            rows += [
                value[name],
                scale,
                ops.minimum(low, high),
                ops.maximum(low, high),
            ]
        # Holds every float32, and integers beyond those of float32.
        return ops.stack([ops.cast(row, "float64") for row in rows])
