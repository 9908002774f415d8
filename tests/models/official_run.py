"""A run of the official implementation, and the model that repeats it.

The official layers' gates are the rows of one matrix, `A` of shape
`(2 * units, n)`: the first half gates the response kernel, the second half
the response bias. The layers of one of the two code bases also have a trained
scalar that multiplies the elementary kernel and bias.
"""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

import keras_stn as stn
from tests.reference_arrays import load_reference

# Our weights' names in the two official code bases.
STN_NAMES = {
    "kernel": "elem_weight",
    "bias": "elem_bias",
    "response_kernel": "hnet_weight",
    "response_bias": "hnet_bias",
    "gates": "htensor_to_scalars.weight",
    "factor": "elem_scalar",
}
DELTA_NAMES = {
    "kernel": "general_weight",
    "bias": "general_bias",
    "response_kernel": "response_weight",
    "response_bias": "response_bias",
    "gates": "hyper_bottleneck.weight",
}


class Declare(stn.layers.HyperLayer):
    """Declares hyperparameters in the file's order, and does nothing."""

    def __init__(self, hyperparameters, **kwargs):
        super().__init__(**kwargs)
        for hyperparameter in hyperparameters:
            self.declare(hyperparameter)

    def call(self, inputs, hyperparameters=None):
        return inputs


class InputScale(stn.layers.HyperLayer):
    """Scales every example by a factor drawn between two ends.

    Args:
        strength: `Float` s that the ends depend on.
        is_geometric: Boolean, whether the ends are 1 / (1 + s) and 1 + s, or
            1 - s and 1 + s.
        draw: Callable that returns uniform draws for a number of examples.
    """

    def __init__(self, strength, is_geometric, draw, **kwargs):
        super().__init__(**kwargs)
        self.strength = self.declare(strength)
        self.is_geometric = is_geometric
        self.draw = draw

    def call(self, inputs, training=False, hyperparameters=None):
        if not training or hyperparameters is None:
            return inputs
        s = self.resolve(self.strength, inputs, hyperparameters)
        u = ops.reshape(self.draw(inputs.shape[0]), s.shape)
        if self.is_geometric:
            return inputs * ((1 + s - 1 / (1 + s)) * u + 1 / (1 + s))
        return inputs * (1 + s * (2 * u - 1))


class OfficialRun:
    """A run's arrays, and a model that draws the run's random numbers.

    Args:
        name: String, the file's name without its ending.
        monkeypatch: The fixture.
        **compile_args: The three optimizers, in place of the official ones.
    """

    def __init__(self, name, monkeypatch, **compile_args):
        self.arrays = load_reference(name)
        # The two families of files name the same things differently.
        is_stnstep = name.startswith("traj_stnstep")
        self.is_geometric = not is_stnstep
        self.names = DELTA_NAMES if is_stnstep else STN_NAMES
        self.prefix = "layers" if is_stnstep else "fcs"
        self.masks = "keep_mask_first" if is_stnstep else "keep_mask"
        self.scale_draws = "u_first" if is_stnstep else "inscale_u"
        self.location = "h_tensor" if is_stnstep else "htensor"
        self.raw_scale = "h_scale" if is_stnstep else "hscale"
        self.low = "low" if is_stnstep else "range_min"
        self.high = "high" if is_stnstep else "range_max"
        self.loss = "loss_first" if is_stnstep else "xentropy"
        self.learning_rate = "general_lr" if is_stnstep else "train_lr"

        self.is_mlp = str(self.arrays["kind"]) == "mlp"
        self.tune_scales = bool(self.arrays["tune_scales"])
        self.entropy_weight = float(self.arrays["entropy_weight"])
        # A variable, so that one graph serves all steps.
        self.step = tf.Variable(0)
        self.hyperparameters = self.make_hyperparameters()
        self.hyper_layers = {}
        self.mask_names = {}
        self.head = None
        self.model = stn.SelfTuningModel(
            keras.Sequential(self.make_layers()),
            groups=None,
            entropy_weight=self.entropy_weight,
            tune_scales=self.tune_scales,
            preset="paper",
        )
        self.model.compile(
            **{**self.make_optimizers(), **compile_args},
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        self.model.optimizer.build(self.model.trainable_variables)
        self.model._build_hyper_optimizers()
        monkeypatch.setattr(
            self.model.hyperparameters, "draw_noise", self.draw_noise
        )
        monkeypatch.setattr(keras.random, "uniform", self.draw_uniform)

    # The model.

    def make_hyperparameters(self):
        ends = np.stack([self.arrays[self.low], self.arrays[self.high]], 1)
        shared = self.arrays.get("same_perturb_mb", np.zeros(len(ends)))
        return {
            str(name): stn.Float(
                str(name),
                *(float(end) if np.isfinite(end) else None for end in pair),
                per_example=not is_shared,
            )
            for name, pair, is_shared in zip(self.arrays["names"], ends, shared)
        }

    def make_layers(self):
        x = self.to_inputs(self.arrays["x_train"])
        layers = [
            keras.Input(x.shape[1:]),
            Declare(self.hyperparameters.values()),
            *self.make_dropout("indropout", "indropout"),
            InputScale(
                self.hyperparameters["inscale"],
                self.is_geometric,
                self.draw_scales,
            ),
        ]
        make = self.make_dense if self.is_mlp else self.make_convolutions
        return layers + make()

    def make_dense(self):
        layers, sizes = [], self.arrays["cfg_sizes"][1:]
        for i, size in enumerate(sizes):
            is_last = i == len(sizes) - 1
            layer = stn.layers.HyperDense(
                int(size),
                activation=None if is_last else "relu",
                use_bias=bool(self.arrays["cfg_bias"]),
            )
            self.hyper_layers[f"{self.prefix}.{i}."] = layer
            layers += [layer, *self.make_dropout(f"dropout{i}", f"layer{i}")]
        return layers

    def make_convolutions(self):
        layers, filters = [], self.arrays["cfg_filters"][1:]
        for i, number in enumerate(filters):
            layer = stn.layers.HyperConv2D(
                int(number),
                int(self.arrays["cfg_kernel"]),
                strides=int(self.arrays["cfg_strides"][i]),
                activation="relu",
            )
            self.hyper_layers[f"convs.{i}."] = layer
            # Keras's "same" would pad a strided convolution on one side.
            padding = int(self.arrays["cfg_padding"])
            layers += [keras.layers.ZeroPadding2D(padding), layer]
            if self.arrays["cfg_pools"][i]:
                layers.append(keras.layers.MaxPooling2D())
            layers += self.make_dropout(f"dropout{i}", f"layer{i}")
        self.head = keras.layers.Dense(int(self.arrays["cfg_nc"]))
        # An image is flattened channel by channel there.
        return [
            *layers,
            keras.layers.Permute((3, 1, 2)),
            keras.layers.Flatten(),
            self.head,
        ]

    def make_dropout(self, name, mask):
        if name not in self.hyperparameters:
            return []
        kind = "Dropout" if self.is_mlp else "SpatialDropout2D"
        layer = getattr(stn.layers, kind)(self.hyperparameters[name])
        self.mask_names[id(layer.seed_generator)] = f"{self.masks}/{mask}"
        return [layer]

    def make_optimizers(self):
        # Keras adds epsilon before it corrects Adam's bias and the official
        # code after: only a negligible one means the same.
        return {
            "optimizer": keras.optimizers.SGD(
                float(self.arrays[self.learning_rate]),
                momentum=float(self.arrays["momentum"]),
            ),
            "hyper_optimizer": keras.optimizers.Adam(
                float(self.arrays["valid_lr"]), epsilon=1e-12
            ),
            "scale_optimizer": keras.optimizers.Adam(
                float(self.arrays["scale_lr"]), epsilon=1e-12
            ),
        }

    # What the model draws.

    def draw_noise(self, groups):
        return self.at_step("noise")[:groups]

    def draw_scales(self, batch_size):
        return self.at_step(self.scale_draws)[:batch_size]

    def draw_uniform(self, shape, dtype, seed):
        mask = self.at_step(self.mask_names[id(seed)])[: shape[0]]
        # A kept unit, 1, is above every rate and a dropped one, 0, below.
        return ops.cast(ops.reshape(mask, shape), dtype)

    def at_step(self, name):
        return tf.gather(np.float32(self.arrays[name]), self.step)

    # The data and the state of a step.

    def steps(self, is_tuning):
        """The numbers of the run's tuning or training steps."""
        return np.flatnonzero(self.arrays["is_valid"] == is_tuning).tolist()

    def is_tuning(self, step):
        return bool(self.arrays["is_valid"][step])

    def batch(self, step):
        split = "valid" if self.is_tuning(step) else "train"
        index = self.arrays["batch_idx"][step]
        index = index[index >= 0]
        return (
            tf.constant(self.to_inputs(self.arrays[f"x_{split}"][index])),
            tf.constant(self.arrays[f"y_{split}"][index]),
        )

    def to_inputs(self, x):
        x = x.reshape(len(x), -1) if self.is_mlp else x.transpose(0, 2, 3, 1)
        return np.float32(x)

    def official(self, kind, step=...):
        """The official parameters or gradients, such as `"param"`, by name.

        Args:
            kind: String, the arrays' prefix in the file.
            step: Integer, for arrays that have one entry a step.
        """
        return {
            key.removeprefix(f"{kind}/"): array[step]
            for key, array in self.arrays.items()
            if key.startswith(f"{kind}/")
        }

    def load(self, step):
        """Gives the model the state before a step."""
        self.load_weights(self.official("param", step))
        self.load_space(step)

    def load_space(self, step):
        self.step.assign(step)
        for variable, array in self.as_space(step):
            variable.assign(array)

    def load_weights(self, official):
        for variable, array in self.as_ours(official):
            variable.assign(np.float32(array))

    def as_space(self, step):
        """Pairs of the hyperparameters' variables and their values."""
        space = self.model.hyperparameters
        return [
            (space.location, self.arrays[self.location][step]),
            (space.raw_scale, self.arrays[self.raw_scale][step]),
        ]

    def as_ours(self, official):
        """Yields pairs of our weights and the official parameters' values."""
        for prefix, layer in self.hyper_layers.items():
            arrays = self.of_layer(official, prefix)
            factor = arrays.pop("factor", 1.0)
            kernel_gate, bias_gate = np.split(arrays.pop("gates"), 2)
            yield layer.kernel_gate, kernel_gate.T
            if layer.use_bias:
                yield layer.bias_gate, bias_gate.T
            for name, array in arrays.items():
                scaled = array * factor if name in ("kernel", "bias") else array
                yield getattr(layer, name), to_keras(scaled)
        if self.head is not None:
            yield self.head.kernel, official["fc.weight"].T
            yield self.head.bias, official["fc.bias"]

    def as_official(self, gradients, official):
        """The gradients of the official parameters, from those of ours.

        Args:
            gradients: Dictionary from our variables' paths to gradients.
            official: Dictionary of the official parameters' values.
        """
        result = {}
        for prefix, layer in self.hyper_layers.items():
            arrays = self.of_layer(official, prefix)
            factor = arrays.pop("factor", None)
            gates = arrays.pop("gates")
            ours = {
                name: to_torch(gradients[getattr(layer, name).path])
                for name in arrays
            }
            gate_gradient = np.zeros_like(gates)
            gate_gradient[: layer.kernel.shape[-1]] = gradients[
                layer.kernel_gate.path
            ].T
            if layer.use_bias:
                gate_gradient[layer.kernel.shape[-1] :] = gradients[
                    layer.bias_gate.path
                ].T
            if factor is not None:
                # The official kernel and bias are ours over this factor.
                ours["factor"] = np.reshape(
                    sum(
                        np.sum(ours[name] * arrays[name])
                        for name in ("kernel", "bias")
                    ),
                    (1,),
                )
                ours["kernel"] = ours["kernel"] * factor
                ours["bias"] = ours["bias"] * factor
            for name, gradient in {**ours, "gates": gate_gradient}.items():
                result[prefix + self.names[name]] = gradient
        if self.head is not None:
            result["fc.weight"] = gradients[self.head.kernel.path].T
            result["fc.bias"] = gradients[self.head.bias.path]
        return result

    def of_layer(self, official, prefix):
        """One layer's official arrays, by our names."""
        return {
            name: official[prefix + theirs]
            for name, theirs in self.names.items()
            if prefix + theirs in official
        }


def to_keras(array):
    """Turns a kernel from PyTorch's layout to Keras's."""
    if array.ndim == 4:
        return array.transpose(2, 3, 1, 0)
    return array.T


def to_torch(array):
    """Turns a kernel from Keras's layout to PyTorch's."""
    if array.ndim == 4:
        return array.transpose(3, 2, 0, 1)
    return array.T
