from keras_stn.applications.alexnet import alexnet
from keras_stn.applications.lstm_language_model import lstm_language_model
from keras_stn.applications.mlp import mlp
from keras_stn.applications.resnet18 import resnet18
from keras_stn.applications.simple_cnn import simple_cnn
from keras_stn.applications.small_cnn import small_cnn
from keras_stn.applications.vgg16 import vgg16
