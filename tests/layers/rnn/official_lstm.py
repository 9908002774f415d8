"""The official LSTM's weights in our names and our layout.

Its gates stand in the order forget, input, output, new; ours in Keras's:
input, forget, new, output. It has a linear map of the inputs and one of the
state, each with a bias and a bias response of its own, where we have one bias:
b = b_i + b_h, with the response c_i d_i + c_h d_h. Ours is the same with a
response bias of ones and the bias gate C_i d_i + C_h d_h.
"""

import numpy as np

ORDER = [1, 0, 3, 2]

MAPS = {"i2h": "kernel", "h2h": "recurrent_kernel"}


def reorder(array):
    """Turns the order of the gates along the first axis into the other."""
    return np.concatenate([np.split(array, 4)[i] for i in ORDER])


def our_weights(arrays, prefix="p/"):
    """Weights of our cell by name.

    Args:
        arrays: Dictionary of the official arrays.
        prefix: String in front of `i2h` and `h2h`.

    Returns:
        Dictionary of arrays.
    """
    weights = {"bias": 0, "bias_gate": 0}
    for part, name in MAPS.items():
        p = {
            key: arrays[f"{prefix}{part}.{key}"]
            for key in (
                "elem_weight_raw",
                "hnet_weight_raw",
                "elem_bias",
                "hnet_bias",
                "hnet_tensor_to_scalars.weight",
            )
        }
        gates, bias_gates = np.split(p["hnet_tensor_to_scalars.weight"], 2)
        weights[name] = reorder(p["elem_weight_raw"]).T
        weights[f"response_{name}"] = reorder(p["hnet_weight_raw"]).T
        weights[f"{name}_gate"] = reorder(gates).T
        weights["bias"] += reorder(p["elem_bias"])
        weights["bias_gate"] += reorder(bias_gates * p["hnet_bias"][:, None]).T
    return {**weights, "response_bias": np.ones_like(weights["bias"])}


def official_gradients(ours, arrays, prefix="p/"):
    """The official gradients that follow from ours by the chain rule.

    Args:
        ours: Dictionary of our gradients by name.
        arrays: Dictionary of the official arrays.
        prefix: String in front of `i2h` and `h2h`.

    Returns:
        Dictionary from the official names to arrays.
    """
    gradients = {}
    bias_gate = reorder(ours["bias_gate"].T)
    for part, name in MAPS.items():
        bias = arrays[f"{prefix}{part}.hnet_bias"]
        gates = arrays[f"{prefix}{part}.hnet_tensor_to_scalars.weight"]
        gates = np.split(gates, 2)[1]
        new = {
            "elem_weight_raw": reorder(ours[name].T),
            "hnet_weight_raw": reorder(ours[f"response_{name}"].T),
            "elem_bias": reorder(ours["bias"]),
            "hnet_bias": np.sum(bias_gate * gates, axis=1),
            "hnet_tensor_to_scalars.weight": np.concatenate(
                [
                    reorder(ours[f"{name}_gate"].T),
                    bias_gate * bias[:, None],
                ]
            ),
        }
        gradients |= {f"{prefix}{part}.{key}": g for key, g in new.items()}
    return gradients


def drop_factors(keep_mask, rate):
    """What DropConnect multiplies our recurrent kernel by."""
    return reorder(keep_mask).T[None] / (1 - rate)
