import types

import keras
from keras import ops

from keras_stn import backend
from keras_stn.hyperparameters import HyperparameterSpace
from keras_stn.hyperparameters import hyperparameter
from keras_stn.hyperparameters.batch_part import current_part
from keras_stn.hyperparameters.divisor import largest_divisor
from keras_stn.hyperparameters.space import unique
from keras_stn.hyperparameters.step import current_step
from keras_stn.layers.hyper_layer import find_declarations
from keras_stn.layers.hyper_layer import find_layers
from keras_stn.layers.hyper_layer import provided
from keras_stn.layers.response_layer import ResponseLayer
from keras_stn.losses.tunable_smoothing import TunableSmoothing
from keras_stn.models import alternation
from keras_stn.models.alternating_steps import AlternatingSteps
from keras_stn.models.alternation import Alternation
from keras_stn.models.checks import check_arguments
from keras_stn.models.checks import check_names
from keras_stn.models.checks import check_strategy
from keras_stn.models.checks import is_count
from keras_stn.models.conversion import Conversion
from keras_stn.models.fit_callbacks import LocationTrack
from keras_stn.models.fit_callbacks import TuningSchedule
from keras_stn.models.fit_callbacks import with_own_callbacks
from keras_stn.models.fit_data import make_cycles
from keras_stn.models.model_saving import ModelSaving
from keras_stn.models.rate_plan import planned_end
from keras_stn.models.reporting import Reporting
from keras_stn.models.resumable_callbacks import only_reading_if_replaying
from keras_stn.models.resumable_callbacks import resumable
from keras_stn.models.state_streams import StateStreams
from keras_stn.models.summary import describe


@keras.saving.register_keras_serializable(package="keras_stn")
class SelfTuningModel(
    AlternatingSteps, Conversion, ModelSaving, Reporting, keras.Model
):
    """A network that tunes its own hyperparameters while it trains.

    Wrap it around a network whose layers take `stn.Float` and `stn.Int`
    hyperparameters and whose weighted layers are hyper layers, then compile
    and fit it like any Keras model. `fit` alternates between two updates: the
    weights follow the training loss under perturbed hyperparameters, and the
    hyperparameters follow the loss on the validation data.

    Args:
        network: A `keras.Model`, functional, sequential or subclassed.
        train_steps: Integer, weight updates a cycle.
        tuning_steps: Integer, hyperparameter updates a cycle.
        groups: Integer, how many perturbations of the hyperparameters a batch
            gets, each for an equal share of its consecutive examples; or
            `None` for one an example, as in the paper. A batch that `groups`
            does not divide uses the largest number below that does. Few
            groups cost nearly nothing.
        entropy_weight: Float, the weight τ of the perturbation's entropy in
            the tuning objective. The larger, the wider the network explores.
        tune_scales: Boolean, whether the perturbation scales are tuned as
            well. If `False` they stay, and tuning steps use no perturbation.
        hyperparameters: List of `Float` and `Int` that no layer declares, or
            `None`. Those of the loss are found by `compile`.
        preset: `"auto"` or `"paper"`. With `"auto"` the network trains at the
            current values, as an ordinary one does, and only its responses
            under perturbed ones; the learning rate of the hyperparameters is
            planned by the length of each `fit`. With `"paper"` layers respond
            to the perturbed values, all weights train under them, and the
            rate is 0.003, as in the paper.

    Raises:
        ValueError: If `network` has no hyperparameter, or an argument is out
            of range.

    Example:

    >>> import keras
    >>> import numpy as np
    >>> import keras_stn as stn
    >>> network = keras.Sequential([
    ...     keras.Input((8,)),
    ...     stn.layers.HyperDense(16, activation="relu"),
    ...     stn.layers.Dropout(stn.Float("dropout", 0.0, 0.9, default=0.1)),
    ...     stn.layers.HyperDense(1),
    ... ])
    >>> model = stn.SelfTuningModel(network)
    >>> model.compile("sgd", loss="mse")
    >>> x, y = np.ones((64, 8)), np.ones((64, 1))
    >>> history = model.fit(x, y, validation_split=0.25, verbose=0)
    >>> sorted(model.hyperparameter_values())
    ['dropout']

    Reference:
        [MacKay et al., 2019](https://arxiv.org/abs/1903.03088), algorithm 1.
    """

    def __init__(
        self,
        network,
        train_steps=2,
        tuning_steps=1,
        groups=8,
        entropy_weight=1e-3,
        tune_scales=True,
        hyperparameters=None,
        preset="auto",
        **kwargs,
    ):
        check_arguments(
            network, train_steps, tuning_steps, groups, entropy_weight, preset
        )
        kwargs.setdefault("dtype", network.dtype_policy)
        super().__init__(**kwargs)
        check_strategy(self.distribute_strategy)
        # The network converts its own inputs.
        self._convert_input_args = False
        self._allow_non_tensor_positional_args = True
        self.network = network
        self.train_steps = train_steps
        self.tuning_steps = tuning_steps
        self.groups = groups
        self.entropy_weight = entropy_weight
        self.tune_scales = tune_scales
        self.preset = preset
        self.hyperparameters = None
        self.further_hyperparameters = unique(
            hyperparameter.get(value) for value in hyperparameters or ()
        )
        self.hyper_optimizer = None
        self.scale_optimizer = None
        self._built_weights = None
        # How many examples each replica has, for each batch of a cycle.
        self._batch_sizes = ()
        if hasattr(network, "output_names"):
            self.output_names = network.output_names
        if network.built:
            self.build(shape_of_inputs(network))

    def build(self, input_shape):
        if not self.network.built:
            # Calling it on symbols makes the variables of all its layers.
            self.network(
                keras.tree.map_shape_structure(keras.KerasTensor, input_shape)
            )
        if self.hyperparameters is None:
            declarations = [
                *find_declarations(self.network),
                *self.further_hyperparameters,
            ]
            if not declarations:
                raise ValueError(
                    "The network has no hyperparameter to tune. Give one of "
                    "its layers an `stn.Float` or `stn.Int` where it takes a "
                    "number, as in `stn.layers.Dropout(stn.Float('dropout', "
                    "0.0, 0.9, default=0.05))`; if only the loss has some, "
                    "pass them as `hyperparameters`. Received: "
                    f"network={self.network.name}"
                )
            self.hyperparameters = HyperparameterSpace(
                declarations,
                is_centered=self.is_centered,
                name="hyperparameters",
            )
        layers = self._response_layers()
        if not layers:
            raise ValueError(
                "The network has no hyper layer, so its weights cannot "
                "respond to the hyperparameters and nothing would be tuned. "
                "Use `stn.layers.HyperDense`, `stn.layers.HyperConv2D` and "
                "their like in place of Keras's layers. Received: "
                f"network={self.network.name}"
            )
        for layer in layers:
            # After a conversion what was learned is not perturbed.
            layer.build_gates(
                len(self.hyperparameters),
                is_silent=self.is_centered
                or self._conversion_summary is not None,
            )
        self.streams = StateStreams(self.network)
        self.built = True

    @property
    def is_centered(self):
        """Whether the weights at the current values are the kernels alone."""
        return self.preset != "paper"

    def _response_layers(self):
        return [
            layer
            for layer in find_layers(self.network)
            if isinstance(layer, ResponseLayer)
        ]

    def _add_hyperparameters(self, declarations):
        """Tunes what the loss declares as well."""
        known = self.further_hyperparameters
        if self.hyperparameters is not None:
            known = self.hyperparameters.declarations
        new = unique([*known, *declarations])[len(known) :]
        if not new:
            return
        if self.hyperparameters is not None:
            if any(optimizer.built for optimizer in self._optimizers()):
                raise ValueError(
                    "The loss has a hyperparameter that is new to the model, "
                    "which needs new variables for it, and an optimizer that "
                    "was used before does not know them. Pass new optimizers "
                    "to `compile`. Received: "
                    f"{', '.join(map(str, new))} in `loss`"
                )
            self.hyperparameters.extend(new)
            for layer in self._response_layers():
                layer.extend_gates(
                    len(self.hyperparameters), is_silent=self.is_centered
                )
        self.further_hyperparameters = [*self.further_hyperparameters, *new]

    def call(self, inputs, training=None, hyperparameters=None):
        """Calls the network at given, perturbed or current hyperparameters.

        Args:
            inputs: The network's inputs.
            training: Boolean, whether to train: with a new perturbation
                unless `hyperparameters` are given.
            hyperparameters: A `Sample`, from
                `model.hyperparameters.sample()`. If `None`, a new one in
                training and the current values in inference.

        Returns:
            The network's outputs.
        """
        step = current_step()
        is_in_step = step is not None and step.model is self
        if hyperparameters is None and training:
            space, groups = self.hyperparameters, self.num_groups(inputs)
            is_perturbed = not is_in_step or step.is_perturbed
            # What is drawn for each group is drawn in either case.
            draw = space.sample if is_perturbed else space.repeat
            hyperparameters = draw(groups)
        elif hyperparameters is None:
            hyperparameters = self.hyperparameters.sample(perturb=False)
            if self.built_weights.are_read:
                hyperparameters.weights = self.built_weights
        if is_in_step:
            # Penalties and the loss come after the call.
            step.sample = hyperparameters
        with provided(self, hyperparameters):
            # Keras's image layers act where nothing is said.
            return self.network(inputs, training=bool(training))

    def num_groups(self, inputs):
        """How many perturbations a batch gets.

        Args:
            inputs: The network's inputs.

        Returns:
            Integer, the largest number up to `groups` that divides the batch;
            a scalar tensor where the batch size is only known at run time.
        """
        leaf = keras.tree.flatten(inputs)[0]
        size = leaf.shape[0]
        if size is None:
            size = ops.shape(leaf)[0]
        part = current_part()
        if part is not None and part.size == size:
            return part.num_rows
        if self.groups is None:
            return size
        # `groups` counts over all replicas, as the batch does.
        _, replicas = backend.replica()
        return largest_divisor(size, max(1, self.groups // replicas))

    def hyperparameter_values(self):
        """The current value of every hyperparameter.

        Returns:
            Dictionary from names to Python numbers, in order of first use.
        """
        return self.hyperparameters.values()

    def compile(
        self,
        optimizer="rmsprop",
        loss=None,
        *args,
        hyper_optimizer=None,
        scale_optimizer=None,
        **kwargs,
    ):
        """Configures the model for training.

        Args:
            optimizer: Name or instance of a Keras optimizer, for the weights.
            loss: As in `keras.Model.compile`. Hyperparameters of the losses
                in `keras_stn.losses` are tuned as well, from now on.
            *args: As in `keras.Model.compile`.
            hyper_optimizer: Name or instance of a Keras optimizer, for the
                hyperparameters. If `None`, Adam with a learning rate that
                each `fit` plans by its length; with `preset="paper"`
                `Adam(3e-3)`.
            scale_optimizer: Name or instance of a Keras optimizer, for the
                perturbation scales. If `None`, one like `hyper_optimizer`.
            **kwargs: As in `keras.Model.compile`.

        Raises:
            ValueError: If two of the optimizers are one object, or the loss
                has a new hyperparameter and an optimizer was used before.
        """
        super().compile(optimizer, loss, *args, **kwargs)
        # They may get gates for more hyperparameters now.
        self._built_weights = None
        is_planned = hyper_optimizer is None and self.is_centered
        with self.distribute_strategy.scope():
            self.hyper_optimizer = (
                keras.optimizers.Adam(3e-3, name="hyper_adam")
                if hyper_optimizer is None
                else keras.optimizers.get(hyper_optimizer)
            )
            self.scale_optimizer = (
                keras.optimizers.get(scale_optimizer)
                if scale_optimizer is not None
                else type(self.hyper_optimizer).from_config(
                    self.hyper_optimizer.get_config()
                )
            )
            # In a namespace Keras does not look into: `evaluate` would report
            # them otherwise.
            self._trackers = types.SimpleNamespace(
                loss=keras.metrics.Mean(name="tuning_loss"),
                skipped=keras.metrics.Sum(name="skipped_tuning_steps"),
            )
        # Those whose learning rate `fit` plans.
        self.planned_optimizers = []
        if is_planned:
            self.planned_optimizers.append(self.hyper_optimizer)
            if scale_optimizer is None:
                self.planned_optimizers.append(self.scale_optimizer)
        if len({id(o) for o in self._optimizers()}) < 3:
            raise ValueError(
                "`optimizer`, `hyper_optimizer` and `scale_optimizer` must be "
                "different objects: an optimizer keeps the state of the "
                "variables it updates. Make one instance for each."
            )
        with self.distribute_strategy.scope():
            self._add_hyperparameters(find_loss_declarations(loss))

    def _optimizers(self):
        return self.optimizer, self.hyper_optimizer, self.scale_optimizer

    def _build_hyper_optimizers(self):
        if not self.hyper_optimizer.built:
            self.hyper_optimizer.build([self.hyperparameters.location])
        if not self.scale_optimizer.built:
            self.scale_optimizer.build([self.hyperparameters.raw_scale])

    def _symbolic_build(self, iterator=None, data_batch=None):
        super()._symbolic_build(iterator=iterator, data_batch=data_batch)
        self._build_hyper_optimizers()

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        adapter = getattr(iterator, "data_adapter", None)
        # `fit` has built everything from the data before Keras's own `fit`,
        # which would take a cycle for a batch.
        if isinstance(adapter, Alternation):
            return
        if adapter is not None and self._distribute_strategy is not None:
            # Keras would read a batch, and cannot take one of several workers.
            iterator = None
            data_batch = backend.batch_spec(adapter.get_tf_dataset())
        super()._maybe_symbolic_build(iterator, data_batch)

    def fit(
        self,
        x=None,
        y=None,
        batch_size=None,
        epochs=1,
        verbose="auto",
        callbacks=None,
        validation_split=0.0,
        validation_data=None,
        shuffle=True,
        class_weight=None,
        sample_weight=None,
        initial_epoch=0,
        steps_per_epoch=None,
        validation_steps=None,
        validation_batch_size=None,
        validation_freq=1,
        tuning_data=None,
        warmup_epochs=0,
    ):
        """Trains the weights and tunes the hyperparameters.

        Arguments are those of `keras.Model.fit`. A step of the progress bar
        is a cycle of `train_steps` training batches and `tuning_steps` tuning
        batches; an epoch is one pass over the training data.

        Args:
            x: As in `keras.Model.fit`.
            y: As in `keras.Model.fit`.
            batch_size: As in `keras.Model.fit`, for tuning batches as well.
            epochs: As in `keras.Model.fit`.
            verbose: As in `keras.Model.fit`. Unless it is 0, the
                `tuning_report` is printed at the end.
            callbacks: As in `keras.Model.fit`. Logs hold every hyperparameter
                `NAME` and its scale `NAME_scale`, the `tuning_loss` (NaN
                while nothing is tuned) and `skipped_tuning_steps`.
            validation_split: Float between 0 and 1, the share of the arrays
                to tune and validate on.
            validation_data: Data to tune and validate on, as in
                `keras.Model.fit`.
            shuffle: As in `keras.Model.fit`, for arrays to tune on as well.
            class_weight: As in `keras.Model.fit`; training batches only.
            sample_weight: As in `keras.Model.fit`.
            initial_epoch: As in `keras.Model.fit`.
            steps_per_epoch: Integer, training batches an epoch.
            validation_steps: As in `keras.Model.fit`.
            validation_batch_size: As in `keras.Model.fit`, for tuning batches
                as well.
            validation_freq: As in `keras.Model.fit`.
            tuning_data: Data to tune on in place of the validation data, in
                the same form: arrays in a tuple, a `tf.data.Dataset`,
                `PyDataset`, or an endless generator.
            warmup_epochs: Integer, epochs at the start in which only the
                weights are trained.

        Returns:
            A `keras.callbacks.History`.

        Raises:
            ValueError: If there are no data to tune on, or data are empty or
                do not fit the network, or the warm-up would mislead a
                callback that monitors the `tuning_loss`.
        """
        self._assert_compile_called("fit")
        if not is_count(warmup_epochs, 0):
            raise ValueError(
                "`warmup_epochs` must be a non-negative integer. "
                f"Received: warmup_epochs={warmup_epochs!r}"
            )
        cycles, validation_data = make_cycles(
            self,
            (x, y, sample_weight),
            tuning_data,
            validation_data,
            validation_split,
            batch_size,
            validation_batch_size or batch_size,
            steps_per_epoch,
            shuffle,
            class_weight,
        )
        self._build_for(cycles.training)
        schedule = TuningSchedule(
            cycles,
            warmup_epochs,
            initial_epoch,
            planned_end(initial_epoch, epochs, callbacks),
        )
        track = LocationTrack(cycles)
        callbacks = with_own_callbacks(callbacks, verbose, schedule, track)
        cycles_per_epoch = alternation.to_cycles(
            steps_per_epoch, self.train_steps
        )
        self._tuning_report = None
        history = super().fit(
            cycles,
            epochs=epochs,
            verbose=verbose,
            callbacks=resumable(
                callbacks,
                self,
                cycles,
                {"warmup_epochs": warmup_epochs},
                verbose=verbose,
                epochs=epochs,
                steps=cycles_per_epoch or cycles.num_batches,
            ),
            validation_data=validation_data,
            initial_epoch=initial_epoch,
            steps_per_epoch=cycles_per_epoch,
            validation_steps=validation_steps,
            validation_batch_size=validation_batch_size or batch_size,
            validation_freq=validation_freq,
        )
        self._report(track, callbacks, verbose)
        return history

    def evaluate(self, *args, **kwargs):
        """Evaluates at the current hyperparameters.

        Arguments are those of `keras.Model.evaluate`. Penalties whose
        strength is tuned do not count, or losses of different epochs could
        not be compared. Stateful layers start from zero. With
        `preset="paper"` the weights at the hyperparameters are built once,
        after `on_test_begin` of the callbacks, for all batches.
        """
        if self.built:
            self.streams.reset("evaluation")
        with (
            only_reading_if_replaying(self, kwargs.get("callbacks")),
            self.built_weights.kept(),
        ):
            return super().evaluate(*args, **kwargs)

    def predict(
        self, x, batch_size=None, verbose="auto", steps=None, callbacks=None
    ):
        """Predicts at the current hyperparameters.

        Arguments are those of `keras.Model.predict`. With `preset="paper"`
        the weights at the hyperparameters are built once, after
        `on_predict_begin` of the callbacks, for all batches.
        """
        with self.built_weights.kept():
            return super().predict(x, batch_size, verbose, steps, callbacks)

    def _build_for(self, dataset):
        """Makes every variable, and finds out whether the data fit."""
        batch = backend.batch_spec(dataset)
        try:
            with self.distribute_strategy.scope():
                self._symbolic_build(data_batch=batch)
        except (ValueError, TypeError) as error:
            shapes = keras.tree.map_structure(lambda v: tuple(v.shape), batch)
            raise ValueError(
                "The network and its loss cannot take these data. Check the "
                "shapes of `x`, `y` and of the network's outputs. Received "
                f"batches of shapes {shapes}. The first that failed: {error}"
            ) from error
        check_names(self.hyperparameters.names, self.get_metrics_result())

    def summary(self, *args, **kwargs):
        """Prints the layers, then the hyperparameters.

        Arguments are those of `keras.Model.summary`.
        """
        super().summary(*args, **kwargs)
        if self.built:
            print_fn = kwargs.get("print_fn") or print
            print_fn(describe(self.hyperparameters))


def find_loss_declarations(loss):
    """The hyperparameters of a loss, or of all in a nested structure."""
    return [
        declaration
        for one in keras.tree.flatten(loss)
        if isinstance(one, TunableSmoothing)
        for declaration in one.declarations
    ]


def shape_of_inputs(network):
    """The shape, or structure of shapes, that a network was built for."""
    if hasattr(network, "inputs"):
        return network.input_shape
    return (network.get_build_config() or {}).get("input_shape")
