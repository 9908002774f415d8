class Sample:
    """One draw of every hyperparameter, for G groups of consecutive examples.

    Row g belongs to examples `g * B / G` to `(g + 1) * B / G - 1` of a batch
    of B. This is what `SelfTuningModel` hands to its layers; it is opaque to
    Keras, which therefore leaves its tensors in float32.

    Args:
        unconstrained: Tensor of shape `(G, n)`, what the hyper layers get.
        values: Tensor of shape `(G, n)`, the same in each one's range.
        declarations: The `n` hyperparameters, in column order.
    """

    def __init__(self, unconstrained, values, declarations):
        self.unconstrained = unconstrained
        self.values = values
        self._columns = {h.name: i for i, h in enumerate(declarations)}
        self.declarations = declarations

    @property
    def groups(self):
        """The number of rows, or `None` where it is only known at run time."""
        return self.unconstrained.shape[0]

    def __contains__(self, name):
        return name in self._columns

    def __getitem__(self, name):
        """The values of one hyperparameter, of shape `(G,)`, as layers use."""
        column = self._columns[name]
        return self.declarations[column].quantize(self.values[:, column])

    def continuous(self, name):
        """The values of one hyperparameter before an `Int` is rounded down.

        Args:
            name: String, the name of the hyperparameter.

        Returns:
            Tensor of shape `(G,)`.
        """
        column = self._columns[name]
        return self.declarations[column].limit(self.values[:, column])
