import keras
from keras.src.utils import io_utils

from keras_stn import backend
from keras_stn.models.tuning_report import make_report


class Reporting:
    """Mixin of `SelfTuningModel`: says what `fit` did."""

    _tuning_report = None

    def tuning_report(self):
        """What the last `fit` did to the hyperparameters.

        `fit` prints it, unless it is silent: where each hyperparameter began
        and where it is now, and a note where there is something to do, such
        as that it is still moving or sits at an end of its range.

        Returns:
            A `TuningReport`: `print` shows a table, and its list `rows` holds
            a `TunedHyperparameter` for each hyperparameter.

        Raises:
            ValueError: If no `fit` has ended. A report is not saved with the
                model.

        Example:

        >>> import keras
        >>> import numpy as np
        >>> import keras_stn as stn
        >>> network = keras.Sequential([
        ...     keras.Input((8,)),
        ...     stn.layers.Dropout(stn.Float("dropout", 0.0, 0.9, default=0.0)),
        ...     stn.layers.HyperDense(1),
        ... ])
        >>> model = stn.SelfTuningModel(network)
        >>> hyper_optimizer = keras.optimizers.Adam(0.003)
        >>> model.compile("sgd", "mse", hyper_optimizer=hyper_optimizer)
        >>> x, y = np.ones((64, 8)), np.ones((64, 1))
        >>> history = model.fit(x, y, validation_split=0.25, verbose=0)
        >>> print(model.tuning_report())
        hyperparameter  start         now
        dropout         0 (as 0.009)  0.00...  hardly moved
        hardly moved: train longer or give `hyper_optimizer` a larger ...
        >>> model.tuning_report().rows[0].requested_start
        0.0
        """
        if self._tuning_report is None:
            raise ValueError(
                "There is nothing to report yet: no `fit` of this model has "
                "ended since it was made or loaded. Call `fit` first; for "
                "the values alone call `hyperparameter_values()`. "
                f"Received: model={self.name}"
            )
        return self._tuning_report

    def _report(self, track, callbacks, verbose):
        """Makes the report, and prints it.

        Args:
            track: The `LocationTrack` of the `fit` that has just ended.
            callbacks: What `with_own_callbacks` returned.
            verbose: As in `fit`.
        """
        self._tuning_report = make_report(
            self.hyperparameters, track, find_restored_epoch(callbacks)
        )
        is_chief = backend.is_chief(self.distribute_strategy)
        if verbose and track.epochs and is_chief:
            io_utils.print_msg(str(self._tuning_report))


def find_restored_epoch(callbacks):
    """The epoch whose weights were restored, counted from 0, or `None`."""
    epoch = None
    for callback in getattr(callbacks, "callbacks", callbacks):
        if (
            isinstance(callback, keras.callbacks.EarlyStopping)
            and callback.restore_best_weights
            and callback.best_weights is not None
        ):
            epoch = callback.best_epoch
    return epoch
