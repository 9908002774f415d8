from keras import ops

from keras_stn.hyperparameters.table import describe_range
from keras_stn.hyperparameters.table import to_table


def describe(space):
    """A table of the hyperparameters: name, range, value and scale."""
    values = space.values()
    scales = ops.convert_to_numpy(space.scale)
    rows = [("hyperparameter", "range", "value", "scale")]
    for declaration, scale in zip(space.declarations, scales):
        rows.append(
            (
                declaration.name,
                describe_range(declaration),
                f"{values[declaration.name]:.4g}",
                f"{scale:.3g}",
            )
        )
    return to_table(rows)
