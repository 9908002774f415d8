"""Which hyperparameters share a panel, by the words in their names."""

import re

# A name belongs to the first row that has one of its words. Whole words:
# "l1" is one of "kernel_l1", and none of "pool1".
RULES = (
    ("Cutout: holes", "holes", ("holes?",)),
    ("Cutout: side of a hole", "pixels", ("length",)),
    (
        "Dropout rates",
        "dropped share",
        ("[a-z]*dropout", "drop", "dropconnect", "droppath"),
    ),
    (
        "Strengths of augmentation",
        "strength",
        (
            *("hue", "saturation", "contrast", "brightness", "noise"),
            *("scale", "rotation", "shear", "zoom", "translation", "shift"),
            *("blur", "jitter", "mix", "mixup", "cutmix"),
        ),
    ),
    (
        "Penalties",
        "weight",
        ("alpha", "beta", "l1", "l2", "orthogonal", "penalty", "activity"),
    ),
)
OTHERS = ("Other hyperparameters", "value", ())
# Shares and counts are read from zero on; anything else may span decades.
LINEAR_UNITS = ("dropped share", "holes", "pixels")


def find_rule(name):
    """The row of the rules that a name belongs to.

    Args:
        name: String, the name of a hyperparameter.

    Returns:
        Tuple of title, unit and words.
    """
    for rule in RULES:
        pattern = rf"(?<![a-z])({'|'.join(rule[2])})(?![a-z])"
        if re.search(pattern, name.lower()):
            return rule
    return OTHERS


def group_by_name(names):
    """Puts hyperparameters that can be compared into one panel.

    Args:
        names: List of strings, the names of hyperparameters.

    Returns:
        Dictionary from the titles of panels to lists of names. The panels
        with the most lines come first.

    Example:

    >>> from keras_stn.plotting.panels import group_by_name
    >>> group_by_name(["alpha", "dropout_input", "dropconnect"])
    {'Dropout rates': ['dropout_input', 'dropconnect'], 'Penalties': ['alpha']}
    """
    groups = {}
    for name in names:
        groups.setdefault(find_rule(name)[0], []).append(name)
    return dict(sorted(groups.items(), key=lambda item: -len(item[1])))


def find_unit(names):
    """The unit of a panel: that of its hyperparameters, if they share one.

    Args:
        names: List of strings, the names of hyperparameters.

    Returns:
        String.
    """
    units = {find_rule(name)[1] for name in names}
    return units.pop() if len(units) == 1 else OTHERS[1]
