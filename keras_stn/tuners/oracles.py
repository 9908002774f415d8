"""The searches of KerasTuner over what is not tuned in training."""

import inspect

import keras_tuner

ORACLES = {
    "random": keras_tuner.oracles.RandomSearchOracle,
    "bayesian": keras_tuner.oracles.BayesianOptimizationOracle,
    "hyperband": keras_tuner.oracles.HyperbandOracle,
    "grid": keras_tuner.oracles.GridSearchOracle,
}


def make_oracle(tuner, others, **arguments):
    """The oracle of a search.

    Args:
        tuner: String, the search's name.
        others: Dictionary of arguments that may be the oracle's; those that
            are get taken out of it.
        **arguments: Arguments of all searches, which an oracle may not have.

    Returns:
        A `keras_tuner.Oracle`.

    Raises:
        ValueError: If there is no such search.
    """
    if tuner not in ORACLES:
        known = ", ".join(map(repr, ORACLES))
        raise ValueError(
            f"`tuner` must be one of {known}, the search over what is not "
            "tuned during training; pass any other search as `oracle`. "
            f"Received: tuner={tuner!r}"
        )
    kind = ORACLES[tuner]
    names = inspect.signature(kind).parameters
    own = {name: value for name, value in arguments.items() if name in names}
    for name in [*others]:
        if name in names:
            own[name] = others.pop(name)
    return kind(**own)
