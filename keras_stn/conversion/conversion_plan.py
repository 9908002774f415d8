from collections import Counter
from collections import defaultdict
from typing import NamedTuple

from keras_stn.conversion.conversion_summary import ConversionSummary
from keras_stn.conversion.graph import Place
from keras_stn.conversion.graph import copy_layer
from keras_stn.conversion.graph import find_places
from keras_stn.conversion.responding_layers import RESPONDING
from keras_stn.conversion.responding_layers import find_obstacle
from keras_stn.conversion.selection import select
from keras_stn.conversion.strengths import find_fixed_arguments
from keras_stn.conversion.strengths import is_keras
from keras_stn.conversion.strengths import is_untunable
from keras_stn.conversion.tunable_values import TunableValue
from keras_stn.conversion.tunable_values import find_values
from keras_stn.conversion.tunable_values import tuned_class
from keras_stn.conversion.tunable_values import tuned_config
from keras_stn.hyperparameters.hyperparameter import HyperParameter
from keras_stn.hyperparameters.table import describe_range
from keras_stn.layers.hyper_layer import HyperLayer
from keras_stn.layers.response_layer import ResponseLayer


class Candidate(NamedTuple):
    """A value of a layer that may be tuned, and the name to tune it by."""

    name: str
    place: Place
    value: TunableValue


class ConversionPlan:
    """Says what is tuned in a model, and what takes the place of its layers.

    Args:
        model: A functional or sequential model.
        tune: List of the names of values to tune, or `None` for all that the
            model uses.
        ranges: Dictionary from names to pairs `(low, high)` or
            hyperparameters, or `None`.
        response: Which layers respond: `None` for all, or a name, a class, a
            predicate, or a list of them.

    Raises:
        ValueError: If a name is unknown or a range does not fit.
    """

    def __init__(self, model, tune=None, ranges=None, response=None):
        self.places = find_places(model)
        selected = select(response, [place.layer for place in self.places])
        # Why the weights of a layer do not respond, by the layer's id.
        self.obstacles = {
            id(layer): find_obstacle(layer, is_frozen)
            or (None if layer in selected else "left out by `response`")
            for layer, _, is_frozen, _ in self.places
        }
        ranges = dict(ranges or {})
        self.candidates = self._find_candidates()
        self.chosen = choose(self.candidates, tune, ranges)
        # The hyperparameters of a layer, by the layer's id.
        self.declarations = defaultdict(dict)
        for name, place, value in self.chosen:
            declaration = declare(name, value, ranges.get(name))
            self.declarations[id(place.layer)][value.key] = declaration

    def _find_candidates(self):
        values = [
            (place, value)
            for place in self.places
            for value in find_values(
                place.layer,
                responds=self.obstacles[id(place.layer)] is None,
                is_frozen=place.is_frozen,
            )
        ]
        names = [place.name + value.suffix for place, value in values]
        # The directions of a recurrent layer share a name, others must not.
        owners = {
            (name, place.owner) for name, (place, _) in zip(names, values)
        }
        counts = Counter(name for name, _ in owners)
        return [
            Candidate(
                name if counts[name] == 1 else "_".join((*place.path, name)),
                place,
                value,
            )
            for name, (place, value) in zip(names, values)
        ]

    def replace(self, layer):
        """The unbuilt layer that takes the place of one of the model's."""
        declarations = self.declarations[id(layer)]
        kind = type(layer)
        if self.obstacles[id(layer)] is None:
            kind = RESPONDING[kind]
        elif any(part is None for _, part in declarations):
            kind = tuned_class(layer)
        elif not declarations:
            return copy_layer(layer)
        return kind.from_config(tuned_config(layer, declarations))

    def summarize(self):
        """What becomes of the layers, as a `ConversionSummary`."""
        declarations = {
            declaration.name: declaration
            for of_layer in self.declarations.values()
            for declaration in of_layer.values()
        }
        return ConversionSummary(
            [
                (name, declaration.default, describe_range(declaration))
                for name, declaration in declarations.items()
            ],
            [
                (layer.name, type(layer).__name__)
                for layer, *_ in self.places
                if self.obstacles[id(layer)] is None
                or isinstance(layer, ResponseLayer)
            ],
            [*self._find_ordinary()],
        )

    def _find_ordinary(self):
        for layer, *_ in self.places:
            kind, reason = type(layer).__name__, self.obstacles[id(layer)]
            if isinstance(layer, HyperLayer):
                continue
            if not is_keras(layer):
                yield layer.name, kind, "not a class of `keras.layers`"
            elif is_untunable(layer):
                yield layer.name, kind, "no version of this class is tunable"
            elif reason is not None and layer.weights:
                yield layer.name, kind, reason
            for argument in find_fixed_arguments(layer):
                yield layer.name, kind, f"`{argument}` is no single strength"
        for candidate in self.candidates:
            if candidate.value.is_used and candidate not in self.chosen:
                kind = type(candidate.place.layer).__name__
                yield candidate.name, kind, "left out by `tune`"


def choose(candidates, tune, ranges):
    """The candidates that are tuned."""
    known = list(dict.fromkeys(candidate.name for candidate in candidates))
    for argument, names in (("tune", tune or ()), ("ranges", ranges)):
        if isinstance(names, str):
            raise ValueError(
                f"`{argument}` must be a list of names. "
                f"Received: {argument}={names!r}"
            )
        unknown = [name for name in names if name not in known]
        if unknown:
            raise ValueError(
                f"`{argument}` names what the model has no tunable value for. "
                f"It has: {', '.join(known) or 'none'}. "
                f"Received: {', '.join(map(repr, unknown))}"
            )
    if tune is not None:
        missing = [name for name in ranges if name not in tune]
        if missing:
            raise ValueError(
                "`ranges` has a range for what `tune` leaves out. Add it to "
                f"`tune`, or drop its range. Received: {', '.join(missing)}"
            )
    return [
        candidate
        for candidate in candidates
        if candidate.name in ranges
        or (candidate.value.is_used if tune is None else candidate.name in tune)
    ]


def declare(name, value, ends):
    """The hyperparameter for a value, in the range that was asked for."""
    if isinstance(ends, HyperParameter):
        return value.declare(name, ends)
    try:
        if ends is not None:
            low, high = ends
            ends = (float(low), float(high))
        return value.declare(name, ends)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"The range of '{name}' must be a pair (low, high) around its "
            f"value {value.value:g}, or an "
            f"`stn.{value.declaration_class.__name__}`. Received: "
            f"ranges={{{name!r}: {ends!r}}}. {error}"
        ) from error
