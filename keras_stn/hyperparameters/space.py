import math

import keras
import numpy as np
from keras import ops

from keras_stn import backend
from keras_stn.hyperparameters.batch_part import current_part
from keras_stn.hyperparameters.sample import Sample
from keras_stn.hyperparameters.transforms import constrain
from keras_stn.hyperparameters.transforms import inverse_softplus

# The paper's scale, and those from which a centred response is learned sooner:
# how fast it is learned grows with the square of the scale.
PAPER_SCALE = 0.5
SCALE = 1.5
LOG_SCALE = 3.0


class HyperparameterSpace(keras.layers.Layer):
    """The hyperparameters of a network: their variables and their samples.

    Holds the unconstrained hyperparameters λ and the scales σ of their
    perturbations, draws λ + σ ⊙ ε for groups of examples and maps the draws
    into the ranges. `SelfTuningModel` makes one and offers it as
    `model.hyperparameters`.

    Args:
        declarations: Iterable of `Float` and `Int`, in order of first use.
            Equal declarations of one name count once.
        seed: Integer, the seed of the perturbations.
        is_centered: Boolean, whether responses are to the perturbation σ ⊙ ε
            alone, so that the weights at λ are the kernels themselves; or to
            λ + σ ⊙ ε, as in the paper.

    Raises:
        ValueError: If one name has two different declarations.

    Example:

    >>> import keras_stn as stn
    >>> from keras_stn.hyperparameters import HyperparameterSpace
    >>> space = HyperparameterSpace([stn.Float("rate", 0.0, 1.0, default=0.5)])
    >>> space.values()
    {'rate': 0.5}
    >>> space.sample(groups=4)["rate"].shape
    TensorShape([4])

    Reference:
        [MacKay et al., 2019](https://arxiv.org/abs/1903.03088)
    """

    def __init__(self, declarations, seed=None, is_centered=False, **kwargs):
        # Kept in float32 under every dtype policy: a step of Adam on λ is
        # often smaller than half precision can add.
        super().__init__(trainable=False, dtype="float32", **kwargs)
        self.declarations = unique(declarations)
        self.is_centered = is_centered
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.build()

    def build(self, input_shape=None):
        self._make_variables(
            [h.unconstrained_default for h in self._columns],
            [self._starting_scale(h) for h in self._columns],
        )
        self.built = True

    def _starting_scale(self, hyperparameter):
        """What `raw_scale` is at the start."""
        scale = hyperparameter.scale
        if scale is None and not self.is_centered:
            scale = PAPER_SCALE
        elif scale is None:
            scale = LOG_SCALE if hyperparameter.sampling == "log" else SCALE
        return inverse_softplus(scale)

    @property
    def _columns(self):
        """The hyperparameter of each column."""
        return [h for h in self.declarations for _ in range(h.size or 1)]

    def _make_variables(self, locations, raw_scales):
        self._is_shared = np.array(
            [not h.per_example for h in self._columns], bool
        )
        self._low = [h.unconstrained_low for h in self._columns]
        self._high = [h.unconstrained_high for h in self._columns]
        self.location, self.raw_scale = (
            self.add_weight(
                name=name,
                shape=(len(self),),
                initializer=from_values(values),
                trainable=False,
                autocast=False,
            )
            for name, values in (
                ("location", locations),
                ("raw_scale", raw_scales),
            )
        )

    def extend(self, declarations):
        """Adds hyperparameters behind those there are.

        Old ones keep their values and scales. The variables are new, so an
        optimizer of the old ones cannot go on with them.

        Args:
            declarations: Iterable of `Float` and `Int`. Those that are known
                already add nothing.

        Raises:
            ValueError: If one name has two different declarations.
        """
        known = len(self)
        self.declarations = unique([*self.declarations, *declarations])
        new = self._columns[known:]
        if not new:
            return
        old = (self.location, self.raw_scale)
        locations, raw_scales = map(ops.convert_to_numpy, old)
        self._tracker.unlock()
        for variable in old:
            self._untrack_variable(variable)
        self._make_variables(
            [*locations, *(h.unconstrained_default for h in new)],
            [*raw_scales, *map(self._starting_scale, new)],
        )
        self._tracker.lock()

    def __len__(self):
        """How many numbers they are, those of a size counted one by one."""
        return sum(h.size or 1 for h in self.declarations)

    @property
    def names(self):
        """The names, in column order."""
        return [h.name for h in self.declarations]

    @property
    def scale(self):
        """The perturbation scales σ = softplus(`raw_scale`), shape `(n,)`."""
        return ops.softplus(self.raw_scale)

    def draw_noise(self, groups):
        """Draws the standard normal noise of one sample.

        Override it, or pass `noise` to `sample`, to supply your own.

        Args:
            groups: Integer or scalar tensor, the number of rows.

        Returns:
            Float tensor of shape `(groups, n)`.
        """
        # All replicas draw for the whole batch and keep the rows of their own
        # examples.
        replica, replicas = backend.replica()
        part = current_part()
        total, rows = groups * replicas, replica * groups + ops.arange(groups)
        if part is not None:
            total, rows = part.groups, part.group_indices()
        noise = keras.random.normal(
            (total, len(self)), dtype="float32", seed=self.seed_generator
        )
        if replicas == 1:
            return noise
        return ops.take(self._share(noise), rows, axis=0)

    def _share(self, noise):
        """Gives the columns that are not per example their first row."""
        if not self._is_shared.any():
            return noise
        return ops.where(self._is_shared, noise[:1], noise)

    def sample(self, groups=1, noise=None, perturb=True, silent=True):
        """Draws λ + σ ⊙ ε for `groups` groups of examples.

        Args:
            groups: Integer or scalar tensor, the number of rows G.
            noise: Tensor of shape `(G, n)` to use instead of a draw.
            perturb: Boolean. If `False`, the one row λ itself.
            silent: Boolean, whether layers may leave out responses that are
                nothing, and with them their gradients.

        Returns:
            A `Sample`.
        """
        location = ops.expand_dims(self.location, 0)
        if not perturb:
            return self._to_sample(location, silent and self.is_centered)
        if noise is None:
            noise = self.draw_noise(groups)
        noise = self._share(noise)
        return self._to_sample(location + self.scale * noise)

    def repeat(self, groups):
        """What `sample` draws, with no perturbation in any of its rows.

        Args:
            groups: Integer or scalar tensor, the number of rows G.

        Returns:
            A `Sample`.
        """
        rows = ops.broadcast_to(self.location, (groups, len(self)))
        return self._to_sample(rows, self.is_centered)

    def _to_sample(self, unconstrained, is_silent=False):
        response_inputs = unconstrained
        if self.is_centered:
            # The value is the perturbation, the derivative that of λ.
            response_inputs -= ops.stop_gradient(self.location)
        return Sample(
            response_inputs,
            self.constrain(unconstrained),
            self.declarations,
            is_silent=is_silent,
        )

    def constrain(self, unconstrained):
        """Maps unconstrained values into the ranges, all columns at once.

        Args:
            unconstrained: Tensor of shape `(..., n)`.

        Returns:
            Tensor of the same shape; an `Int` is not rounded yet.
        """
        kinds = [range_kind(h) for h in self._columns]
        ranges = np.array([h.transform_range for h in self._columns], "float32")
        values = ops.zeros_like(unconstrained)
        for kind in dict.fromkeys(kinds):
            columns = np.array([k == kind for k in kinds])
            # Other columns get harmless numbers, so that neither their values
            # nor their gradients can be infinite before they are masked.
            low, high = np.where(
                columns[:, None], ranges, ranges[columns.argmax()]
            ).T
            mapped = constrain(
                ops.where(columns, unconstrained, 0.0), low, high
            )
            if kind[-1] == "log":
                mapped = ops.exp(mapped)
            values = ops.where(columns, mapped, values)
        return values

    def clip(self, unconstrained):
        """Keeps unconstrained values where their gradients live.

        Args:
            unconstrained: Tensor of shape `(n,)`.

        Returns:
            Tensor of shape `(n,)`.
        """
        return ops.clip(
            unconstrained,
            np.array(self._low, "float32"),
            np.array(self._high, "float32"),
        )

    def entropy(self):
        """The entropy of the perturbation, Σ log(σ √(2πe)), in nats.

        Returns:
            Scalar tensor.
        """
        constant = 0.5 * math.log(2 * math.pi * math.e)
        return ops.sum(ops.log(self.scale) + constant)

    def logs(self):
        """Every hyperparameter's value and scale, by name, as tensors.

        Returns:
            Dictionary of scalar tensors: `NAME` and `NAME_scale`.
        """
        values = self.means(self.sample(perturb=False))
        scales = self.mean_scales()
        return values | {f"{name}_scale": s for name, s in scales.items()}

    def means(self, sample):
        """What logs hold of a sample: its first row, by name.

        Args:
            sample: A `Sample`.

        Returns:
            Dictionary of scalar tensors, the mean where there is a size.
        """
        return {
            h.name: ops.mean(sample[h.name][0]) if h.size else sample[h.name][0]
            for h in self.declarations
        }

    def mean_scales(self):
        """What logs hold of the scales, by name.

        Returns:
            Dictionary of scalar tensors, the mean where there is a size.
        """
        parts = [self.scale]
        if len(self.declarations) > 1:
            ends = np.cumsum([h.size or 1 for h in self.declarations])
            parts = ops.split(self.scale, ends[:-1].tolist())
        return {
            h.name: ops.mean(part) if h.size else part[0]
            for h, part in zip(self.declarations, parts)
        }

    def values(self, location=None):
        """The value of every hyperparameter.

        Args:
            location: Array of shape `(n,)`, the unconstrained values to take
                in place of the current ones.

        Returns:
            Dictionary from names to Python numbers, or lists of them where
            there is a size.
        """
        if location is None:
            location = self.location
        sample = self._to_sample(ops.expand_dims(location, 0))
        rows = {
            h: ops.convert_to_numpy(sample[h.name])[0]
            for h in self.declarations
        }
        return {
            h.name: [h.to_python(value) for value in row]
            if h.size
            else h.to_python(row)
            for h, row in rows.items()
        }


def unique(declarations):
    """The declarations without repetition, in order of first use."""
    by_name = {}
    for declaration in declarations:
        first = by_name.setdefault(declaration.name, declaration)
        if first != declaration:
            raise ValueError(
                f"The hyperparameter '{declaration.name}' is declared twice "
                "with different arguments. Layers share a hyperparameter by "
                "declaring it alike; give the other one another name. "
                f"Received: {first} and {declaration}"
            )
    return list(by_name.values())


def range_kind(hyperparameter):
    """Which ends the range has, and its sampling: one map serves a kind."""
    low, high = hyperparameter.transform_range
    return math.isfinite(low), math.isfinite(high), hyperparameter.sampling


def from_values(values):
    """An initializer that gives the listed numbers."""
    return lambda shape, dtype=None: ops.convert_to_tensor(
        np.reshape(values, shape), dtype
    )
