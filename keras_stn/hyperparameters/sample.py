class Sample:
    """One draw of every hyperparameter, for G groups of consecutive examples.

    Row g belongs to examples `g * B / G` to `(g + 1) * B / G - 1` of a batch
    of B. This is what `SelfTuningModel` hands to its layers; it is opaque to
    Keras, which therefore leaves its tensors in float32.

    Args:
        unconstrained: Tensor of shape `(G, n)`, what the hyper layers get.
        values: Tensor of shape `(G, n)`, the same in each one's range.
        declarations: The hyperparameters, in column order. One of a size has
            so many of the `n` columns.
        weights: The `BuiltWeights` that layers read at this sample, or `None`
            if each layer is to build its own.
    """

    def __init__(self, unconstrained, values, declarations, weights=None):
        self.unconstrained = unconstrained
        self.values = values
        self._columns = places(declarations)
        self.declarations = declarations
        self.weights = weights

    @property
    def groups(self):
        """The number of rows, or `None` where it is only known at run time."""
        return self.unconstrained.shape[0]

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
