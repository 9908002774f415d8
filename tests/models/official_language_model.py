"""Our language model with the weights and masks of the official one.

The official cell is two layers, `i2h` for the inputs and `h2h` for the state,
each with a bias, while ours has one bias, which is their sum. With the
response of our bias at 1 our gate of the bias is the sum of their gates times
their responses. Gradients of theirs follow from those of ours.
"""

import types

import keras
import numpy as np
import tensorflow as tf
from keras import ops

import keras_stn as stn
from keras_stn.applications.lstm_language_model import strengths
from keras_stn.hyperparameters.sample import Sample
from keras_stn.hyperparameters.step import current_step
from keras_stn.layers.regularization import base_activity_penalty

# Our hyperparameters' names in the official code.
NAMES = {
    "dropout_output": "dropouto",
    "dropout_input": "dropouti",
    "dropout_hidden": "dropouth",
    "dropout_embedding": "dropoute",
    "dropconnect": "wdrop",
    "alpha": "alpha",
    "beta": "beta",
}
GATES = "hnet_tensor_to_scalars.weight"


class PenalizedModel(stn.SelfTuningModel):
    """A model whose tuning loss may have penalties, as the official one has.

    The official code adds those on the activities to the loss of tuning steps
    as well, at strengths that count as constants. The objective in the paper
    has none there, and neither has ours.
    """

    def __init__(self, network, activities, **kwargs):
        super().__init__(network, **kwargs)
        self.activities = activities
        # A variable, so that one graph serves both.
        self.penalty_weight = tf.Variable(0.0, trainable=False)

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        loss = super().compute_loss(x, y, y_pred, sample_weight, training)
        if training:
            return loss
        for name, layer in (("alpha", "activity"), ("beta", "temporal")):
            squares, _ = self.network.get_layer(layer).squares(
                getattr(self.activities, layer), None
            )
            strength = ops.stop_gradient(current_step().sample[name])
            penalty = ops.mean(ops.reshape(strength, (-1, 1, 1)) * squares)
            loss += ops.cast(self.penalty_weight, loss.dtype) * penalty
        return loss


class OfficialLanguageModel:
    """Our language model with official weights, masks and states.

    It has all seven hyperparameters. Those that the official model does not
    tune are columns of zeros, which nothing responds to.

    Args:
        names: List of strings, the hyperparameters tuned in the official
            model, by its names and in its order.
        official: Dictionary of the official parameters, for their shapes.
        batch_size: Integer.
        masks: Dictionary from names of dropouts, with the number of the layer
            behind it where there are more, to masks, one a step.
        monkeypatch: The fixture.
    """

    def __init__(self, names, official, batch_size, masks, monkeypatch):
        self.official_names = names
        # A variable, so that one graph serves all steps.
        self.step = tf.Variable(0)
        # Keras would copy a dictionary.
        self.activities = types.SimpleNamespace()
        self._keep_activities(monkeypatch)
        num_words, embedding_units = official[
            "encoder.elem_embedding.weight"
        ].shape
        self.num_layers = 1
        while f"rnns.{self.num_layers}.h2h.elem_bias" in official:
            self.num_layers += 1
        self.model = PenalizedModel(
            stn.applications.lstm_language_model(
                num_words,
                units=len(official["rnns.0.h2h.elem_bias"]) // 4,
                embedding_units=embedding_units,
                layers=self.num_layers,
                batch_size=batch_size,
                length=None,
            ),
            self.activities,
            groups=None,
            tune_scales=False,
            # One layer has nothing hidden to drop, but responds to its rate.
            hyperparameters=strengths(),
            preset="paper",
        )
        self.network = self.model.network
        self.space = self.model.hyperparameters
        theirs = [NAMES[name] for name in self.space.names]
        self.columns = [theirs.index(name) for name in names]
        self.masks = self.of_generators(masks)
        monkeypatch.setattr(keras.random, "uniform", self.draw_uniform)

    def _keep_activities(self, monkeypatch):
        """Keeps what goes into the layers of the penalties."""
        layer_class = base_activity_penalty.BaseActivityPenalty
        call, activities = layer_class.call, self.activities

        def keep(self, inputs, mask=None, training=False, hyperparameters=None):
            setattr(activities, self.name, inputs)
            return call(self, inputs, mask, training, hyperparameters)

        monkeypatch.setattr(layer_class, "call", keep)

    # The weights.

    @property
    def embedding(self):
        return self.network.get_layer("embedding")

    @property
    def lstms(self):
        return [
            self.network.get_layer(f"lstm_{i + 1}")
            for i in range(self.num_layers)
        ]

    def load_weights(self, official):
        for variable, array in self.as_ours(official):
            variable.assign(array)

    def as_ours(self, official):
        """Yields pairs of our weights and the official parameters' values."""
        embedding = self.embedding
        yield embedding.embeddings, official["encoder.elem_embedding.weight"]
        yield (
            embedding.response_embeddings,
            official["encoder.hnet_embedding.weight"],
        )
        yield (
            embedding.embeddings_gate,
            self.to_columns(official[f"encoder.{GATES}"].T),
        )
        yield embedding.reverse_bias, official["decoder.bias"]
        for i, lstm in enumerate(self.lstms):
            cell, bias, bias_gate = lstm.cell, 0.0, 0.0
            for name, part in (("kernel", "i2h"), ("recurrent_kernel", "h2h")):
                prefix = f"rnns.{i}.{part}."
                kernel_gate, gate = np.split(official[prefix + GATES], 2)
                yield (
                    getattr(cell, name),
                    reorder(official[f"{prefix}elem_weight_raw"]).T,
                )
                yield (
                    getattr(cell, f"response_{name}"),
                    reorder(official[f"{prefix}hnet_weight_raw"]).T,
                )
                yield (
                    getattr(cell, f"{name}_gate"),
                    self.to_columns(reorder(kernel_gate).T),
                )
                bias += official[f"{prefix}elem_bias"]
                bias_gate += gate * official[f"{prefix}hnet_bias"][:, None]
            yield cell.bias, reorder(bias)
            yield cell.response_bias, np.ones_like(bias)
            yield cell.bias_gate, self.to_columns(reorder(bias_gate).T)

    def as_official(self, gradients, official):
        """The gradients of the official parameters, from those of ours.

        Args:
            gradients: Dictionary from our variables' paths to arrays.
            official: Dictionary of the official parameters' values.
        """
        embedding = self.embedding
        result = {
            "encoder.elem_embedding.weight": gradients[
                embedding.embeddings.path
            ],
            "encoder.hnet_embedding.weight": gradients[
                embedding.response_embeddings.path
            ],
            f"encoder.{GATES}": self.of_columns(
                gradients[embedding.embeddings_gate.path]
            ).T,
            "decoder.bias": gradients[embedding.reverse_bias.path],
        }
        for i, lstm in enumerate(self.lstms):
            cell = lstm.cell
            bias = reorder(gradients[cell.bias.path])
            bias_gate = reorder(
                self.of_columns(gradients[cell.bias_gate.path]).T
            )
            for name, part in (("kernel", "i2h"), ("recurrent_kernel", "h2h")):
                prefix = f"rnns.{i}.{part}."
                response = official[f"{prefix}hnet_bias"]
                _, gate = np.split(official[prefix + GATES], 2)
                kernel_gate = getattr(cell, f"{name}_gate")
                result |= {
                    f"{prefix}elem_weight_raw": reorder(
                        gradients[getattr(cell, name).path].T
                    ),
                    f"{prefix}hnet_weight_raw": reorder(
                        gradients[getattr(cell, f"response_{name}").path].T
                    ),
                    f"{prefix}elem_bias": bias,
                    f"{prefix}hnet_bias": np.sum(gate * bias_gate, 1),
                    prefix + GATES: np.concatenate(
                        [
                            reorder(
                                self.of_columns(gradients[kernel_gate.path]).T
                            ),
                            bias_gate * response[:, None],
                        ]
                    ),
                }
        return result

    def to_columns(self, rows):
        """Puts official rows of gates where our hyperparameters are."""
        ours = np.zeros((len(self.space), *rows.shape[1:]))
        ours[self.columns] = rows
        return ours

    def of_columns(self, rows):
        return rows[self.columns]

    # What the model draws.

    def of_generators(self, masks):
        """Our masks, by the generator of the layer that draws them."""
        layer = self.network.get_layer
        dropouts = {
            "dropouti": layer("dropout_input"),
            "dropouto": layer("dropout_output"),
            "dropoute": self.embedding.embedding_dropout,
        }
        for i, lstm in enumerate(self.lstms):
            dropouts[f"wdrop_{i}"] = lstm.cell.dropconnect
            if i < self.num_layers - 1:
                dropouts[f"dropouth_{i}"] = layer(f"dropout_hidden_{i + 1}")
        result = {}
        for name, dropout in dropouts.items():
            # Without a mask nothing is dropped, whatever its shape would be.
            mask = masks.get(name)
            if mask is not None and name.startswith("wdrop"):
                mask = np.stack([reorder(kernel).T for kernel in mask])
            result[id(dropout.seed_generator)] = mask
        return result

    def draw_uniform(self, shape, dtype, seed):
        mask = self.masks[id(seed)]
        if mask is None:
            return ops.ones(shape, dtype)
        mask = tf.gather(np.array(mask, "float64"), self.step)
        # A kept unit, 1, is above every rate and a dropped one, 0, below.
        return ops.cast(ops.reshape(mask, shape), dtype)

    def make_sample(self, response_inputs, values):
        return Sample(response_inputs, values, self.space.declarations)


def reorder(rows):
    """Brings the rows of an LSTM's gates from one order into the other.

    The official order is forget, input, output, new, and that of Keras is
    input, forget, new, output: the way back is the same.
    """
    forget, input_, output, new = np.split(np.asarray(rows), 4)
    return np.concatenate([input_, forget, new, output])
