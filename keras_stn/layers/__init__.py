from keras_stn.layers.attention.hyper_group_query_attention import (
    HyperGroupQueryAttention,
)
from keras_stn.layers.attention.hyper_multi_head_attention import (
    HyperMultiHeadAttention,
)
from keras_stn.layers.augmentation.cut_mix import CutMix
from keras_stn.layers.augmentation.mix_up import MixUp
from keras_stn.layers.augmentation.random_brightness import RandomBrightness
from keras_stn.layers.augmentation.random_color_jitter import RandomColorJitter
from keras_stn.layers.augmentation.random_contrast import RandomContrast
from keras_stn.layers.augmentation.random_cutout import RandomCutout
from keras_stn.layers.augmentation.random_gaussian_blur import (
    RandomGaussianBlur,
)
from keras_stn.layers.augmentation.random_hue import RandomHue
from keras_stn.layers.augmentation.random_input_scale import RandomInputScale
from keras_stn.layers.augmentation.random_rotation import RandomRotation
from keras_stn.layers.augmentation.random_saturation import RandomSaturation
from keras_stn.layers.augmentation.random_shear import RandomShear
from keras_stn.layers.augmentation.random_translation import RandomTranslation
from keras_stn.layers.augmentation.random_zoom import RandomZoom
from keras_stn.layers.convolutional.hyper_conv1d import HyperConv1D
from keras_stn.layers.convolutional.hyper_conv2d import HyperConv2D
from keras_stn.layers.convolutional.hyper_conv2d_transpose import (
    HyperConv2DTranspose,
)
from keras_stn.layers.convolutional.hyper_conv3d import HyperConv3D
from keras_stn.layers.convolutional.hyper_depthwise_conv1d import (
    HyperDepthwiseConv1D,
)
from keras_stn.layers.convolutional.hyper_depthwise_conv2d import (
    HyperDepthwiseConv2D,
)
from keras_stn.layers.convolutional.hyper_separable_conv1d import (
    HyperSeparableConv1D,
)
from keras_stn.layers.convolutional.hyper_separable_conv2d import (
    HyperSeparableConv2D,
)
from keras_stn.layers.core.hyper_dense import HyperDense
from keras_stn.layers.core.hyper_einsum_dense import HyperEinsumDense
from keras_stn.layers.core.hyper_embedding import HyperEmbedding
from keras_stn.layers.hyper_layer import HyperLayer
from keras_stn.layers.regularization.activity_regularization import (
    ActivityRegularization,
)
from keras_stn.layers.regularization.alpha_dropout import AlphaDropout
from keras_stn.layers.regularization.dropout import Dropout
from keras_stn.layers.regularization.embedding_dropout import EmbeddingDropout
from keras_stn.layers.regularization.gaussian_dropout import GaussianDropout
from keras_stn.layers.regularization.gaussian_noise import GaussianNoise
from keras_stn.layers.regularization.spatial_dropout import SpatialDropout1D
from keras_stn.layers.regularization.spatial_dropout import SpatialDropout2D
from keras_stn.layers.regularization.spatial_dropout import SpatialDropout3D
from keras_stn.layers.regularization.temporal_activity_regularization import (
    TemporalActivityRegularization,
)
from keras_stn.layers.regularization.variational_dropout import (
    VariationalDropout,
)
from keras_stn.layers.regularization.weight_drop_connect import (
    WeightDropConnect,
)
from keras_stn.layers.rnn.hyper_gru import HyperGRU
from keras_stn.layers.rnn.hyper_gru_cell import HyperGRUCell
from keras_stn.layers.rnn.hyper_lstm import HyperLSTM
from keras_stn.layers.rnn.hyper_lstm_cell import HyperLSTMCell
from keras_stn.layers.rnn.hyper_simple_rnn import HyperSimpleRNN
from keras_stn.layers.rnn.hyper_simple_rnn_cell import HyperSimpleRNNCell
