"""Tables of hyperparameters, as text."""


def describe_range(hyperparameter):
    """The range of a hyperparameter: `0 to 0.9`, or `1e-07 to 0.1, log`."""
    config = hyperparameter.get_config()
    ends = [config["min_value"], config["max_value"]]
    low, high = ("none" if end is None else f"{end:g}" for end in ends)
    log = ", log" if hyperparameter.sampling == "log" else ""
    return f"{low} to {high}{log}"


def to_table(rows):
    """Rows of strings as lines with aligned columns.

    Args:
        rows: List of tuples of strings of equal length.

    Returns:
        String.
    """
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths))
        for row in rows
    ]
    return "\n".join(line.rstrip() for line in lines)
