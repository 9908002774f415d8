import math

import keras
from keras import ops

from keras_stn.hyperparameters.hyperparameter import is_number
from keras_stn.schedules.perturbed import Perturbed


@keras.saving.register_keras_serializable(package="keras_stn")
class SinusoidPerturbed(Perturbed):
    """Moves values up and down as a sine of the weight updates.

    The value at step t is `value + amplitude * sin(2π t / period)`. It tells
    whether any smooth movement does what a self-tuned schedule does.

    Args:
        amplitude: Non-negative float, in units of the value; or a dictionary
            from names of hyperparameters to floats, the others standing
            still.
        period: Positive integer, in weight updates.
        values: Dictionary from names of hyperparameters to the sine's means;
            the others' is where they start. If `None`, it is so for all.

    Raises:
        ValueError: If `amplitude` is negative, a number is not finite, or
            `period` is no positive integer.

    Example:

    >>> import keras_stn as stn
    >>> rate = stn.Float("dropout", 0.0, 0.9, default=0.5)
    >>> schedule = stn.schedules.SinusoidPerturbed(amplitude=0.1, period=40)
    >>> round(float(schedule(10, rate)), 3)
    0.6

    Reference:
        [MacKay et al., 2019](https://arxiv.org/abs/1903.03088), section 4.1.
    """

    def __init__(self, amplitude, period, values=None):
        super().__init__("amplitude", amplitude, values)
        if not is_number(period, int) or period < 1:
            raise ValueError(
                "`period` must be a positive integer, the weight updates from "
                f"crest to crest. Received: period={period!r}"
            )
        self.amplitude = amplitude
        self.period = int(period)

    def perturbation(self, step, hyperparameter):
        # As integers: float32 does not hold every large step.
        phase = ops.mod(step, self.period)
        return ops.sin(ops.cast(phase, "float32") * 2 * math.pi / self.period)

    def get_config(self):
        return {**super().get_config(), "period": self.period}
