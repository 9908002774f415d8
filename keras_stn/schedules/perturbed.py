from keras_stn.hyperparameters.hyperparameter import is_number
from keras_stn.schedules.fixed import Fixed
from keras_stn.schedules.fixed import check_numbers
from keras_stn.schedules.schedule import check_known


class Perturbed(Fixed):
    """Base of the schedules that move about a value.

    Args:
        argument: String, the name of the subclass's argument for the size of
            the perturbation.
        size: Non-negative float, for every hyperparameter; or a dictionary
            from the names of those to perturb to floats.
        values: As in `Fixed`.

    Raises:
        ValueError: If a number is negative or not finite.
    """

    def __init__(self, argument, size, values=None):
        super().__init__(values)
        if isinstance(size, dict):
            check_numbers(argument, size)
            numbers = list(size.values())
        else:
            numbers = [size]
        if not all(is_number(n, float) and n >= 0 for n in numbers):
            raise ValueError(
                f"`{argument}` must be a number that is not negative, or a "
                "dictionary from names of hyperparameters to such numbers. "
                f"Received: {argument}={size!r}"
            )
        self._argument = argument
        self._size = size

    def value(self, step, hyperparameter):
        value = super().value(step, hyperparameter)
        size = self._size
        if isinstance(size, dict):
            size = size.get(hyperparameter.name, 0.0)
        return value + size * self.perturbation(step, hyperparameter)

    def perturbation(self, step, hyperparameter):
        """The perturbation of size 1.

        Args:
            step: As in `Schedule`.
            hyperparameter: As in `Schedule`.

        Returns:
            Float32 scalar tensor.
        """
        raise NotImplementedError

    def check(self, hyperparameters):
        super().check(hyperparameters)
        if isinstance(self._size, dict):
            check_known(self._argument, self._size, hyperparameters)

    def get_config(self):
        return {**super().get_config(), self._argument: self._size}
