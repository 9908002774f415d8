from typing import NamedTuple

import keras
import keras_tuner
from keras_tuner.engine import hyperparameters as declarations

from keras_stn.conversion.conversion_plan import ConversionPlan
from keras_stn.conversion.from_keras import check_model
from keras_stn.hyperparameters.float import Float
from keras_stn.hyperparameters.int import Int
from keras_stn.tuners.reach import build_with
from keras_stn.tuners.reach import find_declaration
from keras_stn.tuners.reach import find_reach
from keras_stn.tuners.reach import value_at
from keras_stn.tuners.reasons import why_not

# Where in its range a value starts that has no default.
START = 0.25


class TunedBuild(NamedTuple):
    """A model that `build(hp)` returned, and what of it is tuned in training.

    Attributes:
        model: The model.
        hyperparameters: The `keras_tuner.HyperParameters` that it was built
            of, with the values that are tuned among them.
        tuned: Dictionary from the names of those that are tuned to `Float`
            or `Int`.
        ranges: The same by the names that `SelfTuningModel.from_keras` has
            for the values of layers.
        left: Dictionary from the names of numbers that are not tuned to the
            reason why.
        given: Names that were declared beforehand.
    """

    model: keras.Model
    hyperparameters: keras_tuner.HyperParameters
    tuned: dict
    ranges: dict
    left: dict
    given: set

    @property
    def declarations(self):
        """The declarations of `hp` that are tuned."""
        return [
            find_declaration(self.hyperparameters, name) for name in self.tuned
        ]

    def register_rest(self, hyperparameters):
        """Registers what was asked for and is not tuned, as `hp` does.

        Args:
            hyperparameters: The `HyperParameters` of a trial or a search.
        """
        kept = {*self.tuned, *self.given}
        known = {
            (one.name, repr(one.conditions)) for one in hyperparameters.space
        }
        for declaration in self.hyperparameters.space:
            name = declaration.name
            if name in kept or (name, repr(declaration.conditions)) in known:
                continue
            hyperparameters.merge([declaration])
            if name in self.hyperparameters.values:
                hyperparameters.values[name] = self.hyperparameters.values[name]


def build_tuned(
    build, hyperparameters, given=(), only_given=False, tunable=None
):
    """Builds a model and finds which of its values training can tune.

    Args:
        build: Callable from `keras_tuner.HyperParameters` to a model.
        hyperparameters: The `HyperParameters` of a trial or a search; what
            has a value there is not tuned. What else `build` asks for and
            is not tuned is registered in it.
        given: List of declarations that go before those of `build`.
        only_given: Boolean, whether to tune no others.
        tunable: List of names to tune, or `None` for all that can be.

    Returns:
        A `TunedBuild`.
    """
    before = hyperparameters.copy()
    before.merge(given)
    model, after = build_with(build, before)
    given = {declaration.name for declaration in given}
    known = {declaration.name for declaration in hyperparameters.space}
    names = [
        declaration.name
        for declaration in after.space
        if is_number(declaration)
        and after.is_active(declaration)
        and declaration.name not in known
        and (declaration.name in given or not only_given)
    ]
    obstacle = find_obstacle(model)
    left = {} if obstacle is None else dict.fromkeys(names, obstacle)
    reach = {}
    if obstacle is None:
        reach = find_reach(build, before, model, after, names)
    tuned, ranges = {}, {}
    for name, one in reach.items():
        if not one.can_be_tuned:
            left[name] = why_not(one, model)
        elif tunable is not None and name not in tunable:
            left[name] = "is not in `tunable`"
        else:
            declaration = to_tunable(after, name, one)
            places = {each.name: declaration for each in one.candidates}
            refusal = find_refusal(model, one.candidates, places)
            if refusal is None:
                tuned[name] = declaration
                ranges |= places
            else:
                left[name] = refusal
    found = TunedBuild(model, after, tuned, ranges, left, given)
    found.register_rest(hyperparameters)
    for scopes in ("active_scopes", "inactive_scopes"):
        getattr(hyperparameters, scopes).extend(getattr(after, scopes))
    return found


def find_obstacle(model):
    """Why nothing of a model can be tuned, or `None`."""
    if not isinstance(model, keras.Model):
        return "is in no Keras model"
    try:
        check_model(model)
    except ValueError as error:
        return f"is in a model that cannot be converted: {error}"
    if not ConversionPlan(model).summarize().responding:
        return "is in a model of which no layer can respond to it"
    return None


def find_refusal(model, candidates, ranges):
    """Why a layer does not take a hyperparameter, or `None`."""
    plan = ConversionPlan(model, tune=[*ranges], ranges=ranges)
    try:
        for candidate in candidates:
            plan.replace(candidate.place.layer)
    except ValueError as error:
        return f"has a range that its layer does not take: {error}"
    return None


def is_number(declaration):
    """Whether it is a number with a range."""
    kinds = declarations.Float | declarations.Int
    return (
        isinstance(declaration, kinds)
        and declaration.min_value < declaration.max_value
    )


def to_tunable(hyperparameters, name, reach):
    """The hyperparameter in training of one of a search.

    Args:
        hyperparameters: The `HyperParameters` that hold its value.
        name: String, its name.
        reach: Its `Reach`.

    Returns:
        A `Float` or `Int` of this package.
    """
    declaration = find_declaration(hyperparameters, name)
    kind = Int if isinstance(declaration, declarations.Int) else Float
    value = hyperparameters.values[name]
    if kind is Float and value == declaration.min_value:
        # What KerasTuner takes where no default is given. From the end of a
        # range it is far to anywhere.
        value = value_at(declaration, START)
    is_penalty = any(one.value.part is not None for one in reach.candidates)
    return kind(
        name,
        declaration.min_value,
        declaration.max_value,
        default=value,
        sampling="log" if declaration.sampling == "log" else "linear",
        per_example=not is_penalty,
    )
