from keras import ops

from keras_stn.hyperparameters import hyperparameter
from keras_stn.hyperparameters.hyperparameter import HyperParameter
from keras_stn.hyperparameters.hyperparameter import check_single
from keras_stn.hyperparameters.step import current_step
from keras_stn.hyperparameters.step import current_values


class TunableRegularizer:
    """Mixin for Keras's regularizers: strengths that may be tuned.

    A subclass names its strengths and gives the penalty of strength 1 for
    each. With numbers the Keras regularizer does the work.

    In an evaluation of a `SelfTuningModel` tuned strengths do not count: a
    `val_loss` that rose with them could not be compared between epochs.

    Args:
        strengths: Dictionary from the names of the strengths to numbers,
            hyperparameters or their configurations.
        **kwargs: Further arguments of the Keras regularizer.

    Raises:
        ValueError: If a strength or its range is negative.
    """

    def __init__(self, strengths, **kwargs):
        strengths = {
            name: hyperparameter.get(value) for name, value in strengths.items()
        }
        self.declarations = [
            value
            for value in strengths.values()
            if isinstance(value, HyperParameter)
        ]
        numbers = dict(strengths)
        for name, value in strengths.items():
            check_single(name, value)
            if isinstance(value, HyperParameter):
                numbers[name] = float(value.default)
                if value.low < 0:
                    raise ValueError(
                        f"The range of `{name}` must not be negative; give "
                        "its hyperparameter a `min_value` of at least 0, or "
                        f"sampling='log'. Received: {name}={value}"
                    )
        super().__init__(**numbers, **kwargs)
        self.strengths = strengths

    @property
    def is_tunable(self):
        """Whether a strength is a hyperparameter."""
        return bool(self.declarations)

    def __call__(self, x):
        if not self.is_tunable:
            return super().__call__(x)
        return self.penalty(
            x,
            {
                name: ops.mean(values)
                for name, values in self.current_strengths().items()
            },
        )

    def current_strengths(self):
        """The values of the strengths that count in the step at hand.

        Returns:
            Dictionary from names to tensors of shape `(G,)` or `(1,)`.
        """
        step = current_step()
        is_evaluation = step is not None and step.kind == "evaluation"
        return {
            name: current_values(value)
            for name, value in self.strengths.items()
            if not (is_evaluation and isinstance(value, HyperParameter))
        }

    def penalty(self, x, strengths):
        """The penalty at given strengths.

        Args:
            x: Tensor.
            strengths: Dictionary from the names of the strengths that count
                to scalar tensors.

        Returns:
            Scalar tensor of the dtype of `x`.
        """
        units = self.units()
        penalties = [
            ops.cast(strength, x.dtype) * ops.cast(units[name](x), x.dtype)
            for name, strength in strengths.items()
        ]
        return sum(penalties, ops.zeros((), x.dtype))

    def units(self):
        """The penalties of strength 1, by the names of their strengths."""
        raise NotImplementedError

    def get_config(self):
        return {
            **super().get_config(),
            **{
                name: hyperparameter.serialize(value)
                for name, value in self.strengths.items()
                if isinstance(value, HyperParameter)
            },
        }
