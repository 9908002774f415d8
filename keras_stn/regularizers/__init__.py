from keras_stn.regularizers.l1 import L1
from keras_stn.regularizers.l1_l2 import L1L2
from keras_stn.regularizers.l2 import L2
from keras_stn.regularizers.orthogonal_regularizer import OrthogonalRegularizer
