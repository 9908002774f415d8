from keras_stn.metrics.perplexity import Perplexity
