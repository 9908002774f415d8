"""A run of the official language model, and the model that repeats it."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tests.models.official_language_model import NAMES
from tests.models.official_language_model import OfficialLanguageModel
from tests.reference_arrays import load_reference

TRANSFORMS = {
    "none": tf.identity,
    "sigmoid": ops.sigmoid,
    "softplus": ops.softplus,
}


class OfficialLanguageRun(OfficialLanguageModel):
    """A run's arrays, and a model that draws the run's random numbers.

    Args:
        name: String, the file's name without its ending.
        monkeypatch: The fixture.
        **compile_args: The optimizers.
    """

    def __init__(self, name, monkeypatch, **compile_args):
        arrays = load_reference(name)
        masks = {
            key.removeprefix("keep_mask/"): array
            for key, array in arrays.items()
            if key.startswith("keep_mask/")
        }
        self.arrays = arrays
        super().__init__(
            [str(name) for name in arrays["names"]],
            self.official("param", 0),
            arrays["train_data"].shape[1],
            masks,
            monkeypatch,
        )
        self.model.compile(
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=[
                keras.metrics.SparseCategoricalCrossentropy(
                    name="cross_entropy", from_logits=True
                )
            ],
            **compile_args,
        )
        self.model.optimizer.build(self.model.trainable_variables)
        self.model._build_hyper_optimizers()
        self.draw_sample = self.space.sample
        monkeypatch.setattr(self.space, "draw_noise", self.draw_noise)
        monkeypatch.setattr(self.space, "sample", self.sample)

    # What the model draws.

    def draw_noise(self, groups):
        noise = self.to_columns(self.arrays["noise"].transpose(2, 0, 1))
        return tf.gather(np.float32(noise.transpose(1, 2, 0)), self.step)

    def sample(self, groups=1, noise=None, perturb=True, silent=True):
        """A sample as the official code makes it.

        It hands transformed hyperparameters to the hyper layers where ours
        hands over the unconstrained ones, and its ranges are others.
        """
        drawn = self.draw_sample(groups, noise, perturb, silent)
        drawn = ops.cast(drawn.response_inputs, "float64")
        response_inputs, values = [], []
        for column, name in zip(ops.unstack(drawn, axis=1), self.space.names):
            is_strength = name in ("alpha", "beta")
            if NAMES[name] in self.official_names:
                kind = "alpha_beta" if is_strength else "drop"
                transform = str(self.arrays[f"{kind}_transform"])
                response_inputs.append(TRANSFORMS[transform](column))
                project = ops.softplus if is_strength else ops.sigmoid
                values.append(project(column))
            else:
                fixed = self.arrays[f"fixed_{NAMES[name]}"]
                response_inputs.append(ops.zeros_like(column))
                values.append(ops.full_like(column, float(fixed)))
        return self.make_sample(
            ops.stack(response_inputs, axis=1), ops.stack(values, axis=1)
        )

    # The data and the state of a step.

    def official(self, kind, step):
        """Official arrays by the parameters' names.

        Args:
            kind: String, the arrays' prefix in the file.
            step: Integer.
        """
        return {
            key.removeprefix(f"{kind}/"): array[step]
            for key, array in self.arrays.items()
            if key.startswith(f"{kind}/")
        }

    def steps(self, is_tuning):
        """The numbers of the run's tuning or training steps."""
        return np.flatnonzero(self.arrays["is_valid"] == is_tuning).tolist()

    def is_tuning(self, step):
        return bool(self.arrays["is_valid"][step])

    def kind(self, step):
        return "tuning" if self.is_tuning(step) else "training"

    def batch(self, step):
        split = "valid" if self.is_tuning(step) else "train"
        words = self.arrays[f"{split}_data"].T
        start = self.arrays["seq_start"][step]
        stop = start + self.arrays["seq_len"][step]
        return (
            tf.constant(words[:, start:stop], "int32"),
            tf.constant(words[:, start + 1 : stop + 1], "int32"),
        )

    def load(self, step):
        """Gives the model the state before a step."""
        self.step.assign(step)
        self.load_weights(self.official("param", step))
        self.load_location(self.arrays["htensor"][step])
        self.space.raw_scale.assign(self.to_columns(self.arrays["hscale"]))
        for state, array in zip(self.states(step), self.ends("start", step)):
            state.assign(array)

    def load_location(self, location):
        self.space.location.assign(self.to_columns(location))

    def states(self, step):
        """The states that a step starts from and that it replaces."""
        sets = dict(self.model.streams._sets[self.kind(step)])
        return [state for lstm in self.lstms for state in sets[lstm]]

    def ends(self, end, step):
        """The official states at an end of a step, `"start"` or `"end"`."""
        return [
            self.arrays[f"{state}_{end}_{i}"][step]
            for i in range(self.num_layers)
            for state in ("h", "c")
        ]
