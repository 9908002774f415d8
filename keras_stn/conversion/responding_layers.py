"""Which of Keras's layers have a version whose weights respond."""

import keras

from keras_stn import layers
from keras_stn.layers.core.hyper_einsum_dense import is_batch_first
from keras_stn.layers.core.hyper_einsum_dense import spell_out

RESPONDING = {
    keras.layers.Conv1D: layers.HyperConv1D,
    keras.layers.Conv2D: layers.HyperConv2D,
    keras.layers.Conv2DTranspose: layers.HyperConv2DTranspose,
    keras.layers.Conv3D: layers.HyperConv3D,
    keras.layers.Dense: layers.HyperDense,
    keras.layers.DepthwiseConv1D: layers.HyperDepthwiseConv1D,
    keras.layers.DepthwiseConv2D: layers.HyperDepthwiseConv2D,
    keras.layers.EinsumDense: layers.HyperEinsumDense,
    keras.layers.Embedding: layers.HyperEmbedding,
    keras.layers.GRU: layers.HyperGRU,
    keras.layers.GRUCell: layers.HyperGRUCell,
    keras.layers.GroupQueryAttention: layers.HyperGroupQueryAttention,
    keras.layers.LSTM: layers.HyperLSTM,
    keras.layers.LSTMCell: layers.HyperLSTMCell,
    keras.layers.MultiHeadAttention: layers.HyperMultiHeadAttention,
    keras.layers.ReversibleEmbedding: layers.HyperEmbedding,
    keras.layers.SeparableConv1D: layers.HyperSeparableConv1D,
    keras.layers.SeparableConv2D: layers.HyperSeparableConv2D,
    keras.layers.SimpleRNN: layers.HyperSimpleRNN,
    keras.layers.SimpleRNNCell: layers.HyperSimpleRNNCell,
}

NORMALIZATIONS = (
    keras.layers.BatchNormalization,
    keras.layers.GroupNormalization,
    keras.layers.LayerNormalization,
    keras.layers.Normalization,
    keras.layers.RMSNormalization,
    keras.layers.SpectralNormalization,
    keras.layers.UnitNormalization,
)


def find_obstacle(layer, is_frozen):
    """Why the weights of a layer cannot respond, or `None` if they can.

    Args:
        layer: A layer.
        is_frozen: Boolean, whether its weights are not trained.

    Returns:
        String, a reason to print, or `None`.
    """
    if isinstance(layer, NORMALIZATIONS):
        return "normalization stays as it is"
    if type(layer) not in RESPONDING:
        return "no version of this class responds"
    if is_frozen:
        return "not trainable"
    if getattr(layer, "lora_rank", None):
        return "LoRA adapts it already"
    if getattr(layer.dtype_policy, "quantization_mode", None):
        return "quantized"
    if getattr(layer, "tie_weights", False):
        return "its table maps words both ways"
    if isinstance(layer, keras.layers.EinsumDense):
        # An ellipsis stands for one axis here: more would change nothing.
        rank = len(layer.equation.split(",")[0].replace("...", "."))
        if not is_batch_first(spell_out(layer.equation, rank), layer.bias_axes):
            return "its equation does not begin with the batch"
    return None
