from keras_stn.hyperparameters.float import Float
from keras_stn.hyperparameters.hyperparameter import HyperParameter
from keras_stn.hyperparameters.int import Int
from keras_stn.hyperparameters.sample import Sample
from keras_stn.hyperparameters.space import HyperparameterSpace
