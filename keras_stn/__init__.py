from keras_stn import applications
from keras_stn import callbacks
from keras_stn import layers
from keras_stn import losses
from keras_stn import metrics
from keras_stn import regularizers
from keras_stn import schedules
from keras_stn.hyperparameters import Float
from keras_stn.hyperparameters import Int
from keras_stn.models.self_tuning_model import SelfTuningModel
from keras_stn.plotting import plot_schedule
from keras_stn.tuners import tune
from keras_stn.version import __version__


def __getattr__(name):
    # KerasTuner is needed for nothing else, and its import takes a second.
    if name == "SelfTuner":
        try:
            from keras_stn.tuners.self_tuner import SelfTuner
        except ModuleNotFoundError as error:
            raise ImportError(
                "`keras_stn.SelfTuner` needs KerasTuner, and TensorBoard, "
                "which KerasTuner does not bring. Install them by "
                f"`pip install 'keras_stn[tuner]'`. Missing: {error.name}"
            ) from error
        return SelfTuner
    raise AttributeError(f"module 'keras_stn' has no attribute '{name}'")
