"""Gates as they are after some training."""

import numpy as np


def open_gates(model, stddev=1.0):
    """Lets all weights respond where they have not learned to yet.

    Args:
        model: A `SelfTuningModel` that is built.
        stddev: Float, how much they respond.
    """
    rng = np.random.default_rng(0)
    for layer in model._response_layers():
        for name in layer.responding_names():
            gate = getattr(layer, f"{name}_gate")
            gate.assign(rng.normal(0.0, stddev, gate.shape))
