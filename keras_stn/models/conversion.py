from keras.src.utils import io_utils

from keras_stn.conversion.compile_arguments import compile_arguments
from keras_stn.conversion.compile_arguments import ordinary_compile_arguments
from keras_stn.conversion.from_keras import check_model
from keras_stn.conversion.from_keras import to_tunable
from keras_stn.conversion.to_keras import to_ordinary


class Conversion:
    """Mixin of `SelfTuningModel`: from an ordinary model and back to one."""

    _conversion_summary = None

    @classmethod
    def from_keras(
        cls,
        model,
        tune=None,
        ranges=None,
        response=None,
        hyper_optimizer=None,
        verbose=True,
        **kwargs,
    ):
        """Makes a self-tuning model of an ordinary Keras model.

        Layers with weights become hyper layers, and the strengths of the
        model's regularization hyperparameters that start from the values they
        have: rates of dropout and noise, strengths of image augmentation, L1
        and L2 penalties. Weights and names are kept, so that predictions are
        the same before and after. `model` itself does not change. Where it
        was compiled, the new model is compiled alike.

        A hyperparameter is called by its layer, `dropout_3`, and where a
        layer has several values by the argument as well: `lstm_dropout`,
        `dense_kernel_l2`, `random_zoom_height`. A table of them is printed.

        Args:
            model: A functional or sequential model; models inside of it are
                converted with it.
            tune: List of names of hyperparameters. If `None`, all values that
                the model uses: those of noise and augmentation layers, and
                others that are not 0. A name in `tune` or `ranges` adds a
                value that is 0, such as the dropout of attention, or a plain
                number in a layer or regularizer of this package, which stays
                fixed otherwise.
            ranges: Dictionary from names to pairs `(low, high)`, in place of
                the usual ranges: 0 to 0.9 for rates, 1e-7 to 0.1 for
                penalties. In place of a pair an `stn.Float`
                may stand, with all that it says; the same one for two names
                makes of both one hyperparameter. An integer, such as the
                `holes` of `RandomCutout`, takes a pair of integers or an
                `stn.Int`.
            response: Which layers respond to the hyperparameters: `None` for
                all that can, or a layer's name, a class, a callable that gets
                a layer and returns a boolean, or a list of these. A response
                doubles the weights of its layer.
            verbose: Boolean, whether to print the table.
            hyper_optimizer: As in `compile`, where the model was compiled.
            **kwargs: Further arguments of `SelfTuningModel`.

        Returns:
            A `SelfTuningModel`.

        Raises:
            ValueError: If the model is subclassed, a name is unknown, a range
                does not hold its value, or nothing can be tuned.

        Example:

        >>> import keras
        >>> import keras_stn as stn
        >>> model = keras.Sequential([
        ...     keras.Input((8,)),
        ...     keras.layers.Dense(16, activation="relu"),
        ...     keras.layers.Dropout(0.2, name="dropout"),
        ...     keras.layers.Dense(1),
        ... ])
        >>> tuned = stn.SelfTuningModel.from_keras(model)
        tunable  value  range
        dropout  0.2    0 to 0.9
        ...
        """
        check_model(model)
        with model.distribute_strategy.scope():
            network, summary = to_tunable(
                model, tune, ranges, response, kwargs.get("hyperparameters")
            )
            tuned = cls(network, **kwargs)
            tuned._conversion_summary = summary
            if tuned.built:
                for layer in tuned._response_layers():
                    layer.silence()
            if model.compiled:
                tuned.compile(
                    **compile_arguments(model), hyper_optimizer=hyper_optimizer
                )
        if verbose:
            io_utils.print_msg(str(summary))
        return tuned

    def conversion_summary(self):
        """What `from_keras` made tunable, what responds, and what stayed.

        Returns:
            A `ConversionSummary`: `print` shows a table, and its lists
            `tunable`, `responding` and `ordinary` hold the rows.

        Raises:
            ValueError: If the model was not made by `from_keras`.
        """
        if self._conversion_summary is None:
            raise ValueError(
                "There was no conversion: the model was made of a network of "
                "`keras_stn.layers`. Use `summary()` for its layers and "
                f"hyperparameters. Received: model={self.name}"
            )
        return self._conversion_summary

    def to_keras(self):
        """The tuned network as an ordinary Keras model.

        Hyper layers become the layers of Keras that they extend, with the
        weights they have at the current hyperparameters, and hyperparameters
        become plain numbers. The model predicts as this one does, costs what
        an ordinary one costs, and can be saved, loaded and exported without
        this package. It has weights of its own.

        Layers that act in training alone and that Keras has no class for,
        such as `RandomCutout`, become `keras.layers.Identity`. If this model
        is compiled, so is the new one, with a new optimizer like
        `optimizer`; metrics of this package are left out, and of its losses
        the Keras loss stays.

        Returns:
            A `keras.Model`, functional or sequential as the network is.

        Raises:
            ValueError: If the network is subclassed, was not built, or has a
                layer that Keras has none for.

        Example:

        ```python
        model.fit(x, y, validation_data=(x_val, y_val))
        model.to_keras().save("tuned.keras")
        ```

        Reference:
            [MacKay et al., 2019](https://arxiv.org/abs/1903.03088),
            the equation for Ŵ_φ.
        """
        if not self.built:
            raise ValueError(
                "The model has no weights yet. Give its network a "
                "`keras.Input`, or train it first. "
                f"Received: model={self.name}"
            )
        values = self.hyperparameter_values()
        with self.distribute_strategy.scope():
            model = to_ordinary(
                self.network, values, self.hyperparameters.sample(perturb=False)
            )
            if self.compiled:
                model.compile(**ordinary_compile_arguments(self, values))
                # Or a file of the model would hold an optimizer without its
                # variables, of which Keras warns when it loads it.
                model.optimizer.build(model.trainable_variables)
        return model
