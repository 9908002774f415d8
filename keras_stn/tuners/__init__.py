from keras_stn.tuners.tune import tune
