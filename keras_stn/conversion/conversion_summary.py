from collections import defaultdict

from keras_stn.hyperparameters.table import to_table

MAX_NAMES = 4


class ConversionSummary:
    """What became of the layers of a Keras model; `print` shows a table.

    Args:
        tunable: List of rows `(name, value, range)` of hyperparameters, with
            the value they start from and their range, as a string.
        responding: List of rows `(name, class_name)` of layers whose weights
            respond to the hyperparameters.
        ordinary: List of rows `(name, class_name, reason)` of layers with
            weights that do not respond, and of values that are not tuned.
    """

    def __init__(self, tunable, responding, ordinary):
        self.tunable = [tuple(row) for row in tunable]
        self.responding = [tuple(row) for row in responding]
        self.ordinary = [tuple(row) for row in ordinary]

    def __str__(self):
        rows = [("tunable", "value", "range")]
        rows += [
            (name, f"{value:.4g}", ends) for name, value, ends in self.tunable
        ]
        lines = [to_table(rows)]
        lines += ["", "weights respond"]
        lines += grouped((kind, name) for name, kind in self.responding)
        if self.ordinary:
            lines += ["", "stays ordinary"]
            lines += grouped(
                (f"{kind}: {reason}", name)
                for name, kind, reason in self.ordinary
            )
        return "\n".join(lines)

    def get_config(self):
        return {
            "tunable": self.tunable,
            "responding": self.responding,
            "ordinary": self.ordinary,
        }


def grouped(pairs):
    """A line for each kind, with the names of the first few."""
    names = defaultdict(list)
    for kind, name in pairs:
        names[kind].append(name)
    lines = []
    for kind, members in names.items():
        shown = ", ".join(members[:MAX_NAMES])
        if len(members) > MAX_NAMES:
            shown += f" and {len(members) - MAX_NAMES} more"
        lines.append(f"  {len(members)} {kind} ({shown})")
    return lines
