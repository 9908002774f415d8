import keras_tuner
from keras_tuner.engine.hyperparameters import Fixed

from keras_stn.hyperparameters.table import describe_range
from keras_stn.tuners.tuned_build import build_tuned
from keras_stn.tuners.tuned_build import is_number


class SearchSpace:
    """Divides what `build(hp)` asks for between training and the search.

    Args:
        oracle: The `keras_tuner.Oracle` of the search. What training tunes
            does not come into its space.
        tunable: List of names to tune in training, or `None` for all that
            can be.
    """

    def __init__(self, oracle, tunable=None):
        if isinstance(tunable, str):
            raise ValueError(
                "`tunable` must be a list of names. "
                f"Received: tunable={tunable!r}"
            )
        self.oracle = oracle
        self.tunable = tunable
        # What is tuned, as text, and what is not, with the reason.
        self.tuned = {}
        self.left = {}
        self._given = [
            declaration
            for declaration in oracle.hyperparameters.space
            if is_number(declaration)
        ]
        self._set_space(
            declaration
            for declaration in oracle.hyperparameters.space
            if declaration not in self._given
        )

    def _set_space(self, declarations):
        space = keras_tuner.HyperParameters()
        space.merge([*declarations])
        self.oracle.hyperparameters = space

    def find(self, build, hyperparameters):
        """Builds a model of a trial's hyperparameters.

        Args:
            build: Callable from `keras_tuner.HyperParameters` to a model.
            hyperparameters: The `HyperParameters` of the trial, which may
                get new ones, though none that is tuned in training.

        Returns:
            A `TunedBuild`.
        """
        known = {declaration.name for declaration in hyperparameters.space}
        found = build_tuned(
            build,
            hyperparameters,
            given=[one for one in self._given if one.name not in known],
            only_given=not self.oracle.tune_new_entries,
            tunable=self.tunable,
        )
        self.left |= found.left
        self.tuned |= {
            name: describe_range(declaration)
            for name, declaration in found.tuned.items()
        }
        return found

    def decide(self):
        """Ends the first look: what is tuned here, and left there, is left.

        Raises:
            ValueError: If `tunable` has a name that cannot be tuned.
        """
        for name in self.left:
            self.tuned.pop(name, None)
        for name in self.tunable or ():
            if name not in self.tuned:
                why = self.left.get(name, "is no `hp.Float` or `hp.Int` there")
                raise ValueError(
                    "`tunable` names what cannot be tuned during training. "
                    f"Take it out of the list. Received: '{name}', which {why}"
                )
        kept = [one for one in self._given if one.name not in self.tuned]
        self._set_space([*self.oracle.hyperparameters.space, *kept])

    def describe(self):
        """A few lines that say what is tuned where, and why."""
        tuned = [f"{name} ({range})" for name, range in self.tuned.items()]
        lines = [f"Tuned during training: {', '.join(tuned) or 'nothing'}"]
        others = [
            declaration.name
            for declaration in self.oracle.get_space().space
            if declaration.name not in self.left
            and not isinstance(declaration, Fixed)
        ]
        if others:
            lines.append(f"Left to the search: {', '.join(others)}")
        lines += [
            f"Left to the search: {name}, which {why}"
            for name, why in self.left.items()
        ]
        if not tuned:
            lines.append(
                "So trials are trained as KerasTuner does. To have values "
                "tuned, pass an `hp.Float` to a `keras.layers.Dropout`, a "
                "`Random*` layer or a regularizer, as it is."
            )
        return "\n".join(lines)

    def get_state(self):
        return {"tuned": self.tuned, "left": self.left}

    def set_state(self, state):
        self.tuned, self.left = state["tuned"], state["left"]
