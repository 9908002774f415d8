"""What responses and their gates start from."""

from keras import ops

# From the seed of a kernel to that of its response: further than the seeds of
# one network's layers are from each other.
SEED_DISTANCE = 1_000_003


def silent(initializer, response):
    """An initializer of gates that are 0 where their response is not.

    Where a model is built while it trains, Keras makes the values later than
    the variables.
    """

    def initialize(shape, dtype=None):
        is_used = ops.any(ops.not_equal(response, 0))
        gate = initializer(shape, dtype=dtype)
        return ops.where(is_used, ops.zeros_like(gate), gate)

    return initialize


def independent(initializer):
    """A copy of an initializer that draws other numbers from its seed."""
    seed = getattr(initializer, "seed", None)
    if not isinstance(seed, int):
        # Without a seed, or with a generator, each use draws other numbers.
        return initializer
    config = initializer.get_config()
    return type(initializer).from_config(
        {**config, "seed": seed + SEED_DISTANCE}
    )
