from keras_stn import callbacks
from keras_stn import layers
from keras_stn import losses
from keras_stn import regularizers
from keras_stn.hyperparameters import Float
from keras_stn.hyperparameters import Int
from keras_stn.models.self_tuning_model import SelfTuningModel
from keras_stn.version import __version__
