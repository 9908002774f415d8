import dataclasses


@dataclasses.dataclass(frozen=True)
class TunableArgument:
    """An argument of a layer that has a value and could be tuned.

    Attributes:
        name: String, the constructor's argument, under which the value stands
            in the layer's configuration.
        value: What was given: a number, a pair or a hyperparameter.
        high: Number, the largest value that makes sense, or `inf`.
        kind: `float`, or `int` if an `Int` tunes it.
    """

    name: str
    value: object
    high: float
    kind: type

    def of(self, name):
        """The same as an argument of a layer around the layer."""
        return dataclasses.replace(self, name=name)
