from keras import ops


class Schedule:
    """Base of the schedules: the values of hyperparameters, step by step.

    A schedule says what each hyperparameter is at each weight update, as a
    `keras.optimizers.schedules.LearningRateSchedule` says it of the learning
    rate. `keras_stn.callbacks.ReplaySchedule` trains an ordinary network by
    one. A subclass gives `value`; this class keeps it in the range.

    Example:

    ```python
    class Ramp(stn.schedules.Schedule):
        def __init__(self, steps):
            self.steps = steps

        def value(self, step, hyperparameter):
            share = ops.minimum(ops.cast(step, "float32") / self.steps, 1.0)
            return share * hyperparameter.high

        def get_config(self):
            return {"steps": self.steps}
    ```
    """

    def __call__(self, step, hyperparameter):
        """The value of a hyperparameter at a step, as layers use it.

        Args:
            step: Integer or scalar integer tensor, the weight updates done so
                far.
            hyperparameter: A `Float` or `Int`.

        Returns:
            Float32 scalar tensor in the hyperparameter's range; for an `Int`
            rounded to the nearest integer.
        """
        value = ops.cast(self.value(step, hyperparameter), "float32")
        # An `Int` is rounded down: its values are middles of steps.
        value = ops.clip(
            value + hyperparameter.step / 2,
            hyperparameter.low,
            hyperparameter.high,
        )
        return hyperparameter.quantize(value)

    def value(self, step, hyperparameter):
        """The value at a step, which need not lie in the range.

        Args:
            step: As in `__call__`.
            hyperparameter: As in `__call__`.

        Returns:
            Number or scalar tensor.
        """
        raise NotImplementedError

    def check(self, hyperparameters):
        """Raises a sentence if the schedule is not for these hyperparameters.

        Args:
            hyperparameters: List of `Float` and `Int`, those of a network.

        Raises:
            ValueError: If it names one that is not among them.
        """

    def get_config(self):
        raise NotImplementedError

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def check_known(argument, names, hyperparameters):
    """Raises a sentence if a name is not that of a hyperparameter.

    Args:
        argument: String, the argument of the schedule that has the names.
        names: Iterable of strings.
        hyperparameters: List of `Float` and `Int`.
    """
    known = [h.name for h in hyperparameters]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(
            f"`{argument}` names hyperparameters that the network does not "
            f"have. Choose among {known}. Received: {unknown}"
        )
