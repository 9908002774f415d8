"""Where in a model the values of a search space arrive.

A model is built twice, the second time with other values. What differs
between the two configurations is what the values decide: so it needs no
guess what a function does with them.
"""

import math
from typing import NamedTuple

from keras_stn.conversion.conversion_plan import ConversionPlan
from keras_stn.tuners.description import describe
from keras_stn.tuners.description import differences

# Steps of the golden ratio never meet again.
GOLDEN = (math.sqrt(5) - 1) / 2


class Reach(NamedTuple):
    """Where a value of the search space arrives.

    Attributes:
        candidates: List of the `Candidate`s that take it as it is.
        entries: List of what else it decides, an `Entry` each.
        error: What the function raised at another value, or `None`.
    """

    candidates: list
    entries: list
    error: Exception | None = None

    @property
    def can_be_tuned(self):
        return bool(self.candidates) and not self.entries and not self.error


def find_reach(build, hyperparameters, model, after, names):
    """Finds where values arrive in the model that a function builds.

    Args:
        build: Callable from `keras_tuner.HyperParameters` to a model.
        hyperparameters: The `HyperParameters` before a build.
        model: The model built of them.
        after: The `HyperParameters` after that build.
        names: List of the names of those to look at.

    Returns:
        Dictionary from `names` to `Reach`.
    """
    look = Look(build, hyperparameters, model, after)
    values = {name: other_value(after, name, i) for i, name in enumerate(names)}
    try:
        return look.explain(values)
    except Ambiguous:
        # One at a time: then all that differs is due to the one.
        reach = {}
        for name, value in values.items():
            reach |= look.explain({name: value})
        return reach


class Ambiguous(Exception):
    """It is not clear which of several values decides something."""


class Look:
    """Compares a model with those of other values.

    Args:
        build: As in `find_reach`.
        hyperparameters: As in `find_reach`.
        model: The model to compare with.
        after: The `HyperParameters` that it was built of.
    """

    def __init__(self, build, hyperparameters, model, after):
        self.build = build
        self.hyperparameters = hyperparameters
        self.values = after.values
        self.description = describe(model)
        plan = ConversionPlan(model)
        self.candidates = plan.candidates
        self.indices = {
            id(place.layer): index for index, place in enumerate(plan.places)
        }

    def explain(self, values):
        """Builds a model of other values and says what they decide.

        Args:
            values: Dictionary from names to other values.

        Returns:
            Dictionary from names to `Reach`.

        Raises:
            Ambiguous: If it is not clear which value decides what.
        """
        reach = {name: Reach([], []) for name in values}
        try:
            model, _ = build_with(self.build, self.hyperparameters, values)
        except Exception as error:
            if len(values) > 1:
                raise Ambiguous from error
            return {name: Reach([], [], error) for name in values}
        covered = set()
        others = ConversionPlan(model).candidates
        if len(others) == len(self.candidates):
            for one, other in zip(self.candidates, others):
                owners = self.find_owners(
                    values, one.value.value, other.value.value
                )
                if len(owners) > 1:
                    raise Ambiguous
                for owner in owners:
                    reach[owner].candidates.append(one)
                    index = self.indices[id(one.place.layer)]
                    covered.add((index, one.value.argument))
        description = describe(model)
        for entry in differences(self.description, description):
            if (entry.owner, entry.argument) in covered:
                continue
            owners = self.find_owners(
                values, self.description.get(entry), description.get(entry)
            )
            if not owners and len(values) == 1:
                # It is the value's doing, though not the value itself.
                owners = list(values)
            if len(owners) != 1:
                raise Ambiguous
            reach[owners[0]].entries.append(entry)
        return reach

    def find_owners(self, values, first, second):
        """The names whose value stands in both models.

        Args:
            values: Dictionary from names to the values in the second.
            first: What the first has.
            second: What the second has there.

        Returns:
            List of names.
        """
        return [
            name
            for name, value in values.items()
            if is_same(first, self.values[name]) and is_same(second, value)
        ]


def build_with(build, hyperparameters, values=()):
    """Builds a model of other values, and returns what it was built of."""
    hyperparameters = hyperparameters.copy()
    hyperparameters.values.update(values)
    return build(hyperparameters), hyperparameters


def other_value(hyperparameters, name, index):
    """Another value in the range, different for each hyperparameter."""
    declaration = find_declaration(hyperparameters, name)
    low, high = declaration.min_value, declaration.max_value
    before = hyperparameters.values[name]
    if isinstance(low, int):
        return before + 1 if before < high else before - 1
    share = 0.3 + 0.4 * math.modf(GOLDEN * (index + 1))[0]
    value = value_at(declaration, share)
    return value if not is_same(value, before) else (value + high) / 2


def value_at(declaration, share):
    """The value at a share of the way through a range."""
    low, high = declaration.min_value, declaration.max_value
    if declaration.sampling == "log":
        return low * (high / low) ** share
    return low + share * (high - low)


def find_declaration(hyperparameters, name):
    """The active declaration of a name in a search space."""
    return next(
        declaration
        for declaration in hyperparameters.space
        if declaration.name == name and hyperparameters.is_active(declaration)
    )


def is_same(first, second):
    """Whether two are one number, up to its rounding to float32."""
    for value in (first, second):
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
    return math.isclose(first, second, rel_tol=1e-6)
