"""What only one Keras backend can express. TensorFlow is the first."""

import keras

if keras.config.backend() == "tensorflow":
    from keras_stn.backend.tensorflow import after
    from keras_stn.backend.tensorflow import as_distributed
    from keras_stn.backend.tensorflow import assign_all
    from keras_stn.backend.tensorflow import batch_sizes
    from keras_stn.backend.tensorflow import batch_spec
    from keras_stn.backend.tensorflow import checksum
    from keras_stn.backend.tensorflow import compiled
    from keras_stn.backend.tensorflow import copies
    from keras_stn.backend.tensorflow import distribute
    from keras_stn.backend.tensorflow import draw_rows
    from keras_stn.backend.tensorflow import first_leaf
    from keras_stn.backend.tensorflow import gather
    from keras_stn.backend.tensorflow import gradients
    from keras_stn.backend.tensorflow import is_chief
    from keras_stn.backend.tensorflow import is_supported
    from keras_stn.backend.tensorflow import place_in_batch
    from keras_stn.backend.tensorflow import random_segments
    from keras_stn.backend.tensorflow import read_all
    from keras_stn.backend.tensorflow import read_out
    from keras_stn.backend.tensorflow import recompute
    from keras_stn.backend.tensorflow import repeat
    from keras_stn.backend.tensorflow import replica
    from keras_stn.backend.tensorflow import segments
    from keras_stn.backend.tensorflow import stateless_normal
    from keras_stn.backend.tensorflow import sum_over_replicas
    from keras_stn.backend.tensorflow import with_joined_logs
    from keras_stn.backend.tensorflow import worker
else:
    raise ImportError(
        "keras_stn trains with Keras's TensorFlow backend. Set the environment "
        "variable KERAS_BACKEND=tensorflow before Keras is imported. "
        f"Received: backend={keras.config.backend()!r}"
    )
