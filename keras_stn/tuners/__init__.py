from keras_stn.tuners.self_tuner import SelfTuner
