"""Gradients, replicas and data streams in TensorFlow."""

import math
import zlib

import keras
import numpy as np
import tensorflow as tf


def after(first, then):
    """Tensors that are not used before others are computed.

    Args:
        first: List of tensors.
        then: Nested structure of tensors.

    Returns:
        The structure `then`.
    """
    if not first:
        return then
    with tf.control_dependencies(first):
        return tf.nest.map_structure(
            lambda leaf: None if leaf is None else tf.identity(leaf), then
        )


def gradients(function, variables):
    """Differentiates the outcome of `function` with respect to `variables`.

    Nothing but `variables` is watched: their gradient needs the way back
    through the network's activations, not the gradients of its weights.

    Args:
        function: Callable without arguments that returns a pair of a scalar
            tensor to differentiate and anything else.
        variables: List of `keras.Variable`.

    Returns:
        A pair of what `function` returned and the list of gradients, which
        are zero where `function` does not depend on a variable.
    """
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        for variable in variables:
            tape.watch(variable.value)
        outcome = function()
    return outcome, tape.gradient(
        outcome[0],
        [variable.value for variable in variables],
        unconnected_gradients=tf.UnconnectedGradients.ZERO,
    )


def recompute(function):
    """Makes a function compute its inner results again for its gradients.

    Args:
        function: Callable that takes tensors and returns tensors.

    Returns:
        A callable with the same arguments.
    """
    return tf.recompute_grad(function)


def replica():
    """This replica's index and the number of replicas.

    Returns:
        A pair of an integer or scalar tensor, and an integer.
    """
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return 0, 1
    return context.replica_id_in_sync_group, context.num_replicas_in_sync


def stateless_normal(key, counter):
    """A normal number that depends on nothing but two integers.

    Args:
        key: Integer of at most 63 bits, which stream of numbers.
        counter: Integer or scalar integer tensor, which number of it.

    Returns:
        Float32 scalar tensor.
    """
    # TensorFlow's kernels and XLA make other normal numbers of one seed, but
    # the same bits.
    bits = tf.random.stateless_uniform(
        (2,),
        tf.stack([tf.constant(key, "int64"), tf.cast(counter, "int64")]),
        minval=None,
        maxval=None,
        dtype="uint32",
        alg="philox",
    )
    # The 24 bits that float32 holds; the transform of Box and Muller.
    uniform = tf.cast(tf.bitwise.right_shift(bits, 8), "float32") / 2**24
    radius = tf.sqrt(-2 * tf.math.log(1 - uniform[0]))
    return radius * tf.cos(2 * np.pi * uniform[1])


def draw_rows(name, shape, first, seed, dtype, minval=None, maxval=None):
    """Draws some rows of what `keras.random` would draw for more of them.

    Philox numbers its blocks of 128 bits, so drawing may begin at any.

    Args:
        name: `"uniform"`, `"normal"` or `"randint"`.
        shape: Tuple of integers, the rows' number and shape.
        first: Integer or scalar tensor, how many rows come before.
        seed: A `keras.random.SeedGenerator`.
        dtype: String, the dtype of the result.
        minval: Integer, the lowest, for `"randint"`.
        maxval: Integer, one above the highest, for `"randint"`.

    Returns:
        Tensor of the given shape.
    """
    # As `keras.random` makes TensorFlow's seed of its own.
    state = tf.math.floormod(seed.next(), tf.int32.max - 1)
    key, counter = tf.raw_ops.StatelessRandomGetKeyCounter(
        seed=tf.cast(state, "int32")
    )
    row = math.prod(shape[1:])
    begin = tf.cast(first, "int64") * row
    block = 2 if dtype == "float64" else 4
    skipped = tf.stack([begin // block, tf.constant(0, "int64")])
    counter = tf.bitcast(tf.bitcast(counter, "int64") + skipped, "uint64")
    # Where a row may begin within a block, the block's numbers before it are
    # drawn as well.
    is_aligned = isinstance(row, int) and row % block == 0
    size = shape[0] * row
    arguments = {
        "shape": tf.stack([size if is_aligned else size + block - 1]),
        "key": key,
        "counter": counter,
        "alg": tf.random.Algorithm.AUTO_SELECT.value,
    }
    if name == "randint":
        numbers = tf.raw_ops.StatelessRandomUniformIntV2(
            minval=tf.cast(minval, dtype),
            maxval=tf.cast(maxval, dtype),
            **arguments,
        )
    elif name == "normal":
        numbers = tf.raw_ops.StatelessRandomNormalV2(dtype=dtype, **arguments)
    else:
        numbers = tf.raw_ops.StatelessRandomUniformV2(dtype=dtype, **arguments)
    if not is_aligned:
        numbers = tf.slice(numbers, [begin % block], [size])
    return tf.reshape(numbers, shape)


def place_in_batch(size, sizes):
    """Where a replica's examples are in the batch of all replicas.

    Args:
        size: Integer, how many examples this replica has.
        sizes: Tuple of integers, how many each replica has; or of one where
            all have as many.

    Returns:
        A pair of how many examples come before them, an integer or scalar
        tensor, and how many there are on all replicas, an integer.
    """
    index, replicas = replica()
    if len(sizes) == 1:
        return index * size, replicas * size
    starts = [sum(sizes[:i]) for i in range(replicas)]
    return tf.constant(starts)[index], sum(sizes)


def sum_over_replicas(tensor):
    """Sums a tensor over the replicas; with one replica, the tensor."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return tensor
    return context.all_reduce(tf.distribute.ReduceOp.SUM, tensor)


def read_all(variables):
    """The values of variables at this point of the program.

    Args:
        variables: List of `keras.Variable`.

    Returns:
        List of tensors, which later assignments do not change.
    """
    return [tf.convert_to_tensor(variable.value) for variable in variables]


def assign_all(variables, values):
    """Assigns a tensor to each variable, on every replica its own.

    Variables of an optimizer cannot be assigned inside a replica: they name
    no way to combine the replicas' values. All replicas hold equal values
    here, so each device simply takes its own.

    Args:
        variables: List of `keras.Variable`.
        values: List of tensors.
    """

    def update(strategy, values):
        for variable, value in zip(variables, values):
            strategy.extended.update(
                variable.value,
                lambda target, value: target.assign(value),
                args=(value,),
                group=False,
            )

    tf.__internal__.distribute.interim.maybe_merge_call(
        update, tf.distribute.get_strategy(), values
    )


def compiled(function):
    """Makes one graph of a function that is called often.

    Args:
        function: Callable without arguments that returns tensors.

    Returns:
        A callable.
    """
    return tf.function(function)


def repeat(dataset, batch_size=None):
    """Starts a data set again at its end.

    Args:
        dataset: A `tf.data.Dataset` of batches, or a
            `tf.distribute.DistributedDataset`, which cannot be repeated and
            is returned as it is.
        batch_size: Integer, to cut batches of this size across the border
            between two passes, or `None` to leave the batches as they are.

    Returns:
        A data set.
    """
    if not isinstance(dataset, tf.data.Dataset):
        return dataset
    dataset = dataset.repeat()
    if batch_size is not None:
        dataset = dataset.rebatch(batch_size, drop_remainder=True)
    return dataset


def distribute(dataset, strategy):
    """Hands a data set to a strategy that has not got it yet.

    Args:
        dataset: A `tf.data.Dataset` or `tf.distribute.DistributedDataset`.
        strategy: A `tf.distribute.Strategy`.

    Returns:
        An iterable of batches, one per step.
    """
    if isinstance(dataset, tf.data.Dataset):
        return strategy.experimental_distribute_dataset(dataset)
    return dataset


def as_distributed(make_iterator):
    """An iterable that Keras takes for a data set of its own strategy.

    Args:
        make_iterator: Callable that returns a Python iterator.

    Returns:
        A `tf.distribute.DistributedDataset`.
    """
    return PythonDataset(make_iterator)


class PythonDataset(tf.distribute.DistributedDataset):
    """Batches that Python takes from data sets distributed already."""

    def __init__(self, make_iterator):
        self._make_iterator = make_iterator

    def __iter__(self):
        return self._make_iterator()


def batch_spec(dataset):
    """The shapes and dtypes of a data set's batches.

    Args:
        dataset: A `tf.data.Dataset` or `tf.distribute.DistributedDataset`.

    Returns:
        Nested structure of `tf.TensorSpec`, for one replica.
    """
    return tf.nest.map_structure(
        # What a strategy has distributed has one a replica.
        lambda spec: getattr(spec, "_value_specs", [spec])[0],
        dataset.element_spec,
    )


def batch_sizes(batches, strategy):
    """The sizes of batches, on every replica.

    Args:
        batches: Iterable of batches, nested structures of tensors.
        strategy: The `tf.distribute.Strategy` that they are distributed by.

    Returns:
        Tuple of one tuple a batch, of one integer a replica.
    """
    sizes = [
        [tensor.shape[0] for tensor in strategy.experimental_local_results(x)]
        for x in map(first_leaf, batches)
    ]
    # A worker that made a graph alone would number its collective operations
    # otherwise than the others, and all would wait for each other forever.
    everywhere = gather(np.array(sizes), strategy)
    return tuple(map(tuple, np.concatenate(everywhere, axis=1).tolist()))


def first_leaf(batch):
    """The first tensor of a nested structure."""
    return next(leaf for leaf in keras.tree.flatten(batch) if leaf is not None)


def copies(variable):
    """The variables of the replicas that one variable consists of.

    Statistics of normalization and sums of metrics are not the same on every
    replica; read as one, they are averaged or summed.

    Args:
        variable: A `keras.Variable`.

    Returns:
        List of `tf.Variable`, one without a strategy of several replicas.
    """
    return list(getattr(variable.value, "values", [variable.value]))


def checksum(structure):
    """A number that tells batches apart.

    Args:
        structure: Nested structure of tensors, of one or several replicas.

    Returns:
        Integer.
    """
    value = 0
    for tensor in tf.nest.flatten(structure, expand_composites=True):
        # Where a batch has no sample weights there may be a variant.
        if tf.is_tensor(tensor) and tensor.dtype.is_numpy_compatible:
            array = tensor.numpy()
            is_text = array.dtype.hasobject
            content = repr(array.tolist()).encode() if is_text else array
            value = zlib.crc32(content, value)
    return value


def read_out(iterator, num_batches):
    """Reads batches and forgets them.

    Args:
        iterator: Iterator.
        num_batches: Integer; fewer are read at the end.

    Raises:
        StopIteration: If there is none.
    """
    for i in range(num_batches):
        try:
            next(iterator)
        except StopIteration:
            if i == 0:
                raise
            return


def segments(streams, length):
    """Cuts streams of words into segments of one length.

    Args:
        streams: 2-D array of integers, a stream a row.
        length: Integer.

    Returns:
        A `tf.data.Dataset` of pairs of int32 tensors, the words and those
        that follow them, of shape `(rows, length)`, padded with zeros.
    """
    end = streams.shape[1] - 1
    return cut(
        streams,
        tf.data.Dataset.range(0, end, length, output_type="int32").map(
            lambda start: (start, tf.minimum(length, end - start))
        ),
        length,
    )


def random_segments(streams, length, max_length, seed):
    """Cuts streams of words into segments of AWD-LSTM's random lengths.

    Args:
        streams: 2-D array of integers, a stream a row.
        length: Integer, about which the lengths vary.
        max_length: Integer.
        seed: Integer or `None`.

    Returns:
        As from `segments`, of shape `(rows, max_length)`. Every pass draws
        new lengths, of equal number.
    """
    end = streams.shape[1] - 1
    shortest = min(5, max_length)

    def draw(seed):
        share, normal = tf.unstack(tf.random.experimental.stateless_split(seed))
        mean = tf.where(
            tf.random.stateless_uniform(shape, share) < 0.95,
            float(length),
            length / 2,
        )
        sizes = tf.cast(
            tf.random.stateless_normal(shape, normal, mean, 5.0), "int32"
        )
        return tf.clip_by_value(sizes, shortest, max_length)

    # Keras holds all epochs to the number of steps of the first. So there are
    # as many as the text takes on average, stretched to its end.
    shape = (10_000,)
    usual = np.mean(draw(tf.constant((0, 0))))
    shape = (max(1, round(end / usual), -(-end // max_length)),)
    even = tf.cast(tf.linspace(0, end, shape[0] + 1), "int32")

    def place(seed):
        ends = tf.cumsum(tf.cast(draw(seed), "float64"))
        ends = tf.cast(tf.round(ends * (end / ends[-1])), "int32")
        places = tf.concat([[0], ends], axis=0)
        fits = tf.reduce_max(places[1:] - places[:-1]) <= max_length
        places = tf.where(fits, places, even)
        starts, sizes = places[:-1], places[1:] - places[:-1]
        return tf.data.Dataset.from_tensor_slices((starts, sizes))

    seeds = tf.data.Dataset.random(seed, rerandomize_each_iteration=True)
    places = seeds.batch(2).take(1).flat_map(place)
    places = places.apply(tf.data.experimental.assert_cardinality(shape[0]))
    return cut(streams, places, max_length)


def cut(streams, places, width):
    """Cuts segments out of streams of words, and pads them to one width.

    Args:
        streams: 2-D array of integers, a stream a row.
        places: A `tf.data.Dataset` of pairs of a segment's start and size.
        width: Integer, at least any size.

    Returns:
        As from `segments`, of shape `(rows, width)`.
    """
    rows = streams.shape[0]
    # Datasets run on the host.
    with tf.device("CPU:0"):
        padded = tf.constant(np.pad(streams, ((0, 0), (0, width))), "int32")

    def cut_one(start, size):
        words = tf.slice(padded, (0, start), (rows, width + 1))
        is_word = tf.range(width) < size
        return (
            tf.where(is_word, words[:, :-1], 0),
            tf.where(is_word, words[:, 1:], 0),
        )

    return places.map(cut_one).prefetch(tf.data.AUTOTUNE)


def worker(strategy):
    """Which of the processes that train together this one is.

    Args:
        strategy: A `tf.distribute.Strategy`.

    Returns:
        A pair of integers, the index of this process and their number. The
        first process is the chief.
    """
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return 0, 1
    resolver = strategy.cluster_resolver
    cluster = resolver.cluster_spec()
    sizes = {
        job: cluster.num_tasks(job)
        for job in ("chief", "worker")
        if job in cluster.jobs
    }
    index = resolver.task_id or 0
    if resolver.task_type == "worker":
        index += sizes.get("chief", 0)
    return index, sum(sizes.values()) or 1


def is_chief(strategy):
    """Whether this process writes what all would write alike."""
    return worker(strategy)[0] == 0


def gather(array, strategy):
    """Collects an array from every process that trains.

    All of them must call it at the same point of the program.

    Args:
        array: NumPy array of integers, of one shape in all processes.
        strategy: A `tf.distribute.Strategy`.

    Returns:
        NumPy array of shape `(workers, ...)`.
    """
    index, workers = worker(strategy)
    arrays = np.zeros((workers, *array.shape), "int64")
    arrays[index] = array
    if workers == 1:
        return arrays
    # To gather takes TensorFlow forty times as long.
    with tf.device("CPU:0"):
        summed = strategy.reduce("SUM", tf.constant(arrays), axis=None)
    return summed.numpy()


def with_joined_logs(make_function, step_function, strategy):
    """Lets Keras average the logs of several workers, all at once.

    It would do so one by one, which takes longer than to train a small
    network, and along the first axis, which scalars have not.

    Args:
        make_function: Callable that makes Keras's function of a step.
        step_function: Callable that returns a dictionary of scalar tensors.
        strategy: The `tf.distribute.Strategy` that it runs under.

    Returns:
        What `make_function` returns; with several workers, logs are float32.
    """
    if worker(strategy)[1] == 1:
        return make_function(step_function)
    names = []

    def step(data):
        logs = step_function(data)
        names[:] = logs
        return tf.stack([[tf.cast(log, "float32") for log in logs.values()]])

    function = make_function(step)
    return lambda iterator: dict(zip(names, tf.unstack(function(iterator))))


def is_supported(strategy):
    """Whether all replicas of a strategy take each step together.

    Args:
        strategy: A `tf.distribute.Strategy`.

    Returns:
        Boolean.
    """
    return not isinstance(
        strategy,
        (
            tf.distribute.ParameterServerStrategy,
            tf.compat.v1.distribute.experimental.ParameterServerStrategy,
        ),
    )
