import contextlib
import contextvars
import math

import keras
from keras import ops

from keras_stn import backend
from keras_stn.hypergradients import best_response
from keras_stn.hypergradients import guarded_update
from keras_stn.hyperparameters.batch_part import BatchPart
from keras_stn.hyperparameters.batch_part import current_part
from keras_stn.hyperparameters.batch_part import entered_part
from keras_stn.hyperparameters.step import Step
from keras_stn.hyperparameters.step import current_step
from keras_stn.hyperparameters.step import entered
from keras_stn.hyperparameters.step import held
from keras_stn.layers.hyper_layer import find_layers
from keras_stn.models.alternation import Cycle
from keras_stn.models.built_weights import BuiltWeights
from keras_stn.models.checks import check_steps_per_execution
from keras_stn.models.label_mixing import mix_labels

# Whether the weight update at hand is one that responses learn from. The
# thread's own, since each replica traces its steps in a thread of its own.
_TRAINS_RESPONSES = contextvars.ContextVar("trains_responses", default=True)


class AlternatingSteps:
    """Mixin of `SelfTuningModel`: what it computes, step by step.

    A cycle is some weight updates and some hyperparameter updates. Each is a
    `Step`, which penalties and losses belong to.
    """

    def make_train_function(self, force=False):
        if self.train_function is not None and not force:
            return self.train_function
        # One graph for each combination of batch sizes, so that shapes are
        # known while it is made; an epoch has two at the most.
        functions = {}

        def train_function(iterator):
            logs = None
            for _ in range(self.steps_per_execution):
                try:
                    data = next(iterator)
                except StopIteration:
                    if logs is None:
                        raise
                    break
                if not isinstance(data, Cycle):  # From `train_on_batch`.
                    data = Cycle((data,), ())
                if not data.training:  # Only read, not to be trained on.
                    logs = {}
                    continue
                sizes = (
                    len(data.training),
                    backend.batch_sizes(
                        (*data.training, *data.tuning), self.distribute_strategy
                    ),
                )
                if sizes not in functions:
                    functions[sizes] = self._make_function(self.train_step)
                # Replicas need to know them where the function is traced.
                self._batch_sizes = sizes[-1]
                logs = functions[sizes](iter((data,)))
                self._batch_sizes = ()
            return logs

        self.train_function = train_function
        return train_function

    def make_test_function(self, force=False):
        if self.test_function is not None and not force:
            return self.test_function
        self.test_function = self.built_weights.choose(
            self._make_function(self.test_step),
            self._make_function(self.test_step),
        )

    def make_predict_function(self, force=False):
        if self.predict_function is not None and not force:
            return self.predict_function
        self.predict_function = self.built_weights.choose(
            self._new_predict_function(), self._new_predict_function()
        )

    def _new_predict_function(self):
        if backend.worker(self.distribute_strategy)[1] == 1:
            return self._keras_predict_function()
        # Each call of Keras's gets batches of other sizes.
        functions = {}

        def predict_function(data):
            sizes = backend.batch_sizes(data, self.distribute_strategy)
            if sizes not in functions:
                functions[sizes] = self._keras_predict_function()
            return functions[sizes](data)

        return predict_function

    def _keras_predict_function(self):
        before = self.predict_function
        super().make_predict_function(force=True)
        function, self.predict_function = self.predict_function, before
        return function

    @property
    def built_weights(self):
        """The `BuiltWeights` that evaluations read."""
        if self._built_weights is None:
            self._built_weights = BuiltWeights(self)
        return self._built_weights

    def _make_function(self, step_function):
        check_steps_per_execution(
            self.distribute_strategy, self.steps_per_execution
        )
        return backend.with_joined_logs(
            super()._make_function, step_function, self.distribute_strategy
        )

    def train_step(self, data):
        """One cycle of weight updates and hyperparameter updates.

        Override it to change how the two alternate, or override
        `weight_step` or `tuning_step` to change one of them.

        Args:
            data: A `Cycle` with two tuples of batches, `data.training` and
                `data.tuning`. An epoch's last cycle may have fewer training
                batches, and in the warm-up there are no tuning batches.

        Returns:
            Dictionary of logs.
        """
        sizes = iter(self._batch_sizes)
        for i, batch in enumerate(data.training):
            with (
                self._part_entered(batch, next(sizes, None)),
                held(_TRAINS_RESPONSES, i == 0),
            ):
                logs = self.weight_step(batch)
        for i, batch in enumerate(data.tuning):
            if data.restarts:
                self.streams.reset("tuning", where=data.restarts[i])
            with self._part_entered(batch, next(sizes, None)):
                self.tuning_step(batch)
        return {**logs, **self.tuning_logs()}

    def _part_entered(self, batch, sizes):
        """Knows which part of a batch this replica has, where it has one.

        Args:
            batch: This replica's batch.
            sizes: Tuple of integers, how many examples each replica has, or
                `None` where all are taken to have as many.
        """
        size = backend.first_leaf(batch).shape[0]
        _, replicas = backend.replica()
        if replicas == 1 or size is None:
            return contextlib.nullcontext()
        return entered_part(BatchPart(size, sizes or (size,), self.groups))

    @contextlib.contextmanager
    def _entered(self, kind):
        with entered(Step(kind, self)) as step, self.streams.entered(kind):
            yield step

    def weight_step(self, data):
        """One update of the weights, on a training batch.

        This is Keras's own `train_step`. With centred responses the network
        itself trains at the current values, as an ordinary one, and its
        responses under perturbed ones, on the first batch of each cycle;
        with `preset="paper"` both train together, under perturbed values. An
        override must call it, for the penalties and the loss to belong to
        the sample of the call.

        Args:
            data: A batch, `(x, y)` or `(x, y, sample_weight)`.

        Returns:
            Dictionary of logs: the loss and metrics.

        Raises:
            ValueError: If layers mixed examples and `compute_loss` was
                overridden such that it did not mix their labels.
        """
        gradients = self._response_gradients(data) if self.is_centered else []
        # Or TensorFlow's graph optimizer would forget that what was read for
        # them was read before the update.
        data = backend.after([gradient for gradient, _ in gradients], data)
        with self._entered("training") as step:
            step.is_perturbed = not self.is_centered
            step.response_gradients = gradients
            logs = super().train_step(data)
        check_mixes(step)
        return logs

    def _response_gradients(self, data):
        """The gradients of what only matters where the values are perturbed.

        Args:
            data: As in `weight_step`.

        Returns:
            List of pairs of a gradient and a variable.
        """
        variables = [
            variable
            for layer in self._response_layers()
            for variable in layer.response_variables()
            if variable.trainable
        ]
        if not variables:
            return []
        if not _TRAINS_RESPONSES.get():
            # Without a gradient Keras would warn of them.
            return [(ops.zeros(v.shape, v.dtype), v) for v in variables]
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        scale = self._loss_scale()

        def objective():
            with self._entered("training") as step, self._spared_metrics():
                y_pred = self(x, training=True)
                loss = self._compute_loss(
                    x=x,
                    y=y,
                    y_pred=y_pred,
                    sample_weight=sample_weight,
                    training=True,
                )
            check_mixes(step)
            return loss if scale is None else loss * scale, loss

        # Statistics and states are to see each batch once.
        kept = [*self._statistics(), *self.streams.variables]
        before = backend.read_all(kept)
        _, gradients = backend.gradients(objective, variables)
        if kept:
            backend.assign_all(kept, before)
        if scale is not None:
            gradients = [gradient / scale for gradient in gradients]
        return list(zip(gradients, variables))

    def _statistics(self):
        """What layers keep of the batches they train on."""
        return [
            variable
            for layer in find_layers(self.network)
            for variable in layer._non_trainable_variables
            if not variable.name.startswith("seed_generator")
        ]

    def _compute_loss(self, *args, **kwargs):
        loss = super()._compute_loss(*args, **kwargs)
        step = current_step()
        if step is None or step.model is not self:
            return loss
        return with_gradients(loss, step.response_gradients)

    def test_step(self, data):
        """The evaluation of one batch.

        Penalties whose strength is tuned do not count, and the losses of
        `keras_stn.losses` smooth no labels, so that losses at different
        values of the hyperparameters can be compared. An override must call
        it for that.

        Args:
            data: A batch, `(x, y)` or `(x, y, sample_weight)`.

        Returns:
            Dictionary of logs: the loss and metrics.
        """
        with self._entered("evaluation"):
            return super().test_step(data)

    def tuning_step(self, data):
        """One update of the hyperparameters and scales, on a tuning batch.

        The network is in inference mode, losses that layers and regularizers
        add do not count, and labels are neither smoothed nor mixed. If the
        objective or a gradient is not finite, nothing is updated.

        Args:
            data: A batch, `(x, y)` or `(x, y, sample_weight)`.
        """
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)

        def loss_function(sample):
            with self._entered("tuning"), self._spared_metrics():
                y_pred = self(x, training=False, hyperparameters=sample)
                return self._compute_loss(
                    x=x,
                    y=y,
                    y_pred=y_pred,
                    sample_weight=sample_weight,
                    training=False,
                )

        groups = self.num_groups(x)
        loss, objective, gradients = best_response(
            self.hyperparameters,
            loss_function,
            groups,
            self.tune_scales,
            self.entropy_weight,
            self._loss_scale(),
        )
        self._build_hyper_optimizers()
        optimizers = [self.hyper_optimizer, self.scale_optimizer]
        is_finite = guarded_update(
            self.hyperparameters,
            optimizers[: len(gradients)],
            objective,
            gradients,
        )
        self._lower_loss_scale(is_finite)
        _, replicas = backend.replica()
        size = ops.shape(keras.tree.flatten(x)[0])[0]
        self._trackers.loss.update_state(
            ops.where(is_finite, loss * replicas, 0.0),
            sample_weight=ops.where(is_finite, size, 0),
        )
        self._trackers.skipped.update_state(
            ops.where(is_finite, 0.0, 1.0 / replicas)
        )

    def _loss_scale(self):
        """What `optimizer` multiplies the loss by, or `None`.

        In half precision the gradients of a tuning step take the same way as
        those of a weight update and need the same scale.
        """
        optimizer = self.optimizer
        if is_scaling(optimizer) or optimizer.loss_scale_factor is not None:
            return optimizer.scale_loss(ops.ones(()))
        return None

    def _lower_loss_scale(self, is_finite):
        """Halves a dynamic scale with which a gradient became infinite."""
        if not is_scaling(self.optimizer) or not self.optimizer.built:
            return
        scale, counter = (
            self.optimizer.dynamic_scale,
            self.optimizer.step_counter,
        )
        lower = ops.maximum(scale / 2, 1.0)
        backend.assign_all(
            [scale, counter],
            [
                ops.where(is_finite, scale, lower),
                ops.where(is_finite, counter, ops.zeros_like(counter)),
            ],
        )

    @contextlib.contextmanager
    def _spared_metrics(self):
        """Keeps a tuning loss out of training's metrics."""
        trackers = self._compile_loss.variables if self._compile_loss else []
        values = backend.read_all(trackers)
        yield
        if trackers:
            backend.assign_all(trackers, values)

    @contextlib.contextmanager
    def _step_at_hand(self):
        """The current step; outside of one, what it is at the values."""
        step = current_step()
        if step is not None and step.model is self:
            yield step
            return
        step = Step("direct", self)
        if self.hyperparameters is not None:
            step.sample = self.hyperparameters.sample(perturb=False)
        with entered(step):
            yield step

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        with self._step_at_hand() as step:
            if step.mixes:
                y, y_pred, sample_weight, step.copies = mix_labels(
                    step.mixes, y, y_pred, sample_weight, self.loss
                )
                step.has_mixed_labels = True
            part = current_part()
            if part is not None and not sums_over_examples(self.loss):
                y_pred = part.weigh(y_pred)
            loss = super().compute_loss(x, y, y_pred, sample_weight, training)
            step.copies = 1
        # Where the last batch leaves a replica nothing, Keras returns an
        # empty loss, whose mean would be NaN.
        return ops.sum(loss)

    def tuning_logs(self):
        """What the logs hold beside the loss and metrics.

        Returns:
            Dictionary of scalar tensors.
        """
        tracker = self._trackers.loss
        return {
            # Before the first tuning step there is no loss to tell.
            "tuning_loss": ops.where(
                ops.greater(tracker.count, 0),
                tracker.result(),
                math.nan,
            ),
            "skipped_tuning_steps": self._trackers.skipped.result(),
            **self.hyperparameters.logs(),
        }

    def _get_metrics_result_or_logs(self, logs):
        # A step's logs are the mean of the replicas' own, which is wrong for
        # uneven batches; read here, metrics are those of all replicas.
        results = {**self.get_metrics_result(), **self.tuning_logs()}
        if logs and logs.keys() == results.keys():
            return results
        return super()._get_metrics_result_or_logs(logs)

    @property
    def losses(self):
        with self._step_at_hand() as step:
            return [] if step.kind == "tuning" else super().losses

    def reset_metrics(self):
        super().reset_metrics()
        for tracker in vars(self._trackers).values():
            tracker.reset_state()


def check_mixes(step):
    """Raises a sentence if a loss forgot that examples were mixed."""
    if step.mixes and not step.has_mixed_labels:
        raise ValueError(
            "Layers have mixed the examples, and the loss did not mix "
            "their labels. Call `super().compute_loss` in an override of "
            f"`compute_loss`. Received: {len(step.mixes)} mixing layers"
        )


def with_gradients(loss, pairs):
    """A loss that has given gradients as well, so that one update does all.

    Args:
        loss: Scalar tensor, which does not depend on the variables.
        pairs: List of pairs of a gradient and a variable.

    Returns:
        Scalar tensor, the loss.
    """
    if not pairs:
        return loss
    gradients, variables = zip(*pairs)

    @ops.custom_gradient
    def attach(loss, *values):
        def gradient(*args, upstream=None):
            upstream = args[0] if upstream is None else upstream
            return (
                upstream,
                *(ops.cast(upstream, g.dtype) * g for g in gradients),
            )

        return loss, gradient

    return attach(loss, *map(ops.convert_to_tensor, variables))


def is_scaling(optimizer):
    """Whether an optimizer finds a scale of the loss for half precision."""
    return isinstance(optimizer, keras.optimizers.LossScaleOptimizer)


def sums_over_examples(loss):
    """Whether a loss, or one of several, is a sum rather than a mean."""
    return any(
        getattr(one, "reduction", None) == "sum"
        for one in keras.tree.flatten(loss)
    )
