import hashlib
import random

import keras

from keras_stn import backend
from keras_stn.schedules.perturbed import Perturbed


@keras.saving.register_keras_serializable(package="keras_stn")
class GaussianPerturbed(Perturbed):
    """Adds Gaussian noise to values, drawn anew at every weight update.

    It tells whether noise alone explains what a self-tuned network gains. A
    draw depends on nothing but the seed, the step and the hyperparameter's
    name. So it is the same on every device and after an interruption.

    Args:
        std: Non-negative float, the noise's standard deviation in units of
            the value, before it is clipped to the range; or a dictionary from
            names of hyperparameters to floats, the others having no noise.
        values: Dictionary from names of hyperparameters to the noise's means;
            the others' is where they start. If `None`, it is so for all.
        seed: Integer, the random seed. If `None`, a random one.

    Raises:
        ValueError: If `std` is negative, or a number is not finite.

    Example:

    >>> import keras_stn as stn
    >>> rate = stn.Float("dropout", 0.0, 0.9, default=0.5)
    >>> schedule = stn.schedules.GaussianPerturbed(std=0.05, seed=0)
    >>> bool(schedule(0, rate) != schedule(1, rate))
    True

    Reference:
        [MacKay et al., 2019](https://arxiv.org/abs/1903.03088), section 4.1.
    """

    def __init__(self, std, values=None, seed=None):
        super().__init__("std", std, values)
        self.std = std
        self.seed = random.randrange(2**31) if seed is None else int(seed)

    def perturbation(self, step, hyperparameter):
        return backend.stateless_normal(self._key(hyperparameter.name), step)

    def _key(self, name):
        """An integer of 31 bits for each seed and name."""
        text = f"{self.seed} {name}".encode()
        digest = hashlib.blake2b(text, digest_size=4).digest()
        return int.from_bytes(digest, "little") & 0x7FFFFFFF

    def get_config(self):
        return {**super().get_config(), "seed": self.seed}
