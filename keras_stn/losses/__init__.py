from keras_stn.losses.binary_crossentropy import BinaryCrossentropy
from keras_stn.losses.categorical_crossentropy import CategoricalCrossentropy
from keras_stn.losses.sparse_categorical_crossentropy import (
    SparseCategoricalCrossentropy,
)
