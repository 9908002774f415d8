from keras import ops


def describe(space):
    """A table of the hyperparameters: name, range, value and scale."""
    values = space.values()
    scales = ops.convert_to_numpy(space.scale)
    rows = [("hyperparameter", "range", "value", "scale")]
    for declaration, scale in zip(space.declarations, scales):
        config = declaration.get_config()
        ends = [config["min_value"], config["max_value"]]
        low, high = ("none" if e is None else f"{e:g}" for e in ends)
        log = ", log" if declaration.sampling == "log" else ""
        rows.append(
            (
                declaration.name,
                f"{low} to {high}{log}",
                f"{values[declaration.name]:.4g}",
                f"{scale:.3g}",
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths))
        for row in rows
    )
