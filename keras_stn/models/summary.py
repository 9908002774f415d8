import numpy as np

from keras_stn.hyperparameters.table import describe_range
from keras_stn.hyperparameters.table import to_table


def describe(space):
    """A table of the hyperparameters: name, range, value and scale."""
    values, scales = space.values(), space.mean_scales()
    rows = [("hyperparameter", "range", "value", "scale")]
    for declaration in space.declarations:
        name, size = declaration.name, declaration.size
        value = f"{np.mean(values[name]):.4g}"
        rows.append(
            (
                name,
                describe_range(declaration),
                f"{value} (mean of {size})" if size else value,
                f"{float(scales[name]):.3g}",
            )
        )
    return to_table(rows)
