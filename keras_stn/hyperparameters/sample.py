class Sample:
    """One draw of every hyperparameter, for G groups of consecutive examples.

    Row g belongs to examples `g * B / G` to `(g + 1) * B / G - 1` of a batch
    of B. This is what `SelfTuningModel` hands to its layers; it is opaque to
    Keras, which therefore leaves its tensors in float32.

    Args:
        response_inputs: Tensor of shape `(G, n)`, what the gates of hyper
            layers get: λ + σ ⊙ ε, or where responses are centred σ ⊙ ε.
        values: Tensor of shape `(G, n)`, λ + σ ⊙ ε in each one's range.
        declarations: The hyperparameters, in column order. One of a size has
            so many of the `n` columns.
        weights: The `BuiltWeights` that layers read at this sample, or `None`
            if each layer is to build its own.
        is_silent: Boolean, whether responses are known to be nothing here, so
            that hyper layers may act as ordinary ones.
    """

    def __init__(
        self,
        response_inputs,
        values,
        declarations,
        weights=None,
        is_silent=False,
    ):
        self.response_inputs = response_inputs
        self.values = values
        self.is_silent = is_silent
        self._columns = places(declarations)
        self.declarations = declarations
        self.weights = weights

    @property
    def groups(self):
        """The number of rows, or `None` where it is only known at run time."""
        return self.response_inputs.shape[0]

    def __contains__(self, name):
        return name in self._columns

    def __getitem__(self, name):
        """The values of one hyperparameter, as layers use them.

        They are of shape `(G,)`, or `(G, size)` if it has a size.
        """
        place, declaration = self._columns[name]
        return declaration.quantize(self.values[:, place])

    def continuous(self, name):
        """The values of one hyperparameter before an `Int` is rounded down.

        Args:
            name: String, the name of the hyperparameter.

        Returns:
            Tensor of shape `(G,)`, or `(G, size)`.
        """
        place, declaration = self._columns[name]
        return declaration.limit(self.values[:, place])


def places(declarations):
    """Which columns hyperparameters have.

    Args:
        declarations: Iterable of `Float` and `Int`, in column order.

    Returns:
        Dictionary from names to pairs of an integer, or a slice if it has a
        size, and the declaration.
    """
    columns, end = {}, 0
    for declaration in declarations:
        begin, end = end, end + (declaration.size or 1)
        place = begin if declaration.size is None else slice(begin, end)
        columns[declaration.name] = place, declaration
    return columns
