"""Random numbers of the Beta distribution, with a gradient to its parameter.

TensorFlow's own have no kernel in XLA. These are made of normal and uniform
numbers alone.
"""

from keras import ops

from keras_stn import random

# Below it almost all numbers are 0 or 1 as it is.
MIN_ALPHA = 1e-4

# Gamma variables are drawn at the parameter plus this and brought back by
# uniform numbers. The higher, the rarer is a refused proposal, and the smaller
# what the gradient misses because it does not see the refusal.
BOOST = 3

# A proposal is refused once in fifty times.
NUM_PROPOSALS = 5


def symmetric_beta(alpha, seed):
    """Draws one number of Beta(α, α) for each α.

    Args:
        alpha: Float32 tensor of shape `(n,)`, positive.
        seed: A `keras.random.SeedGenerator`.

    Returns:
        Tensor of shape `(n,)`, between 0 and 1, differentiable in `alpha`.
    """
    # G / (G + H) for two Gamma variables is a function of log G - log H. For
    # small α they are too small for float32, their logarithms are not.
    alpha = ops.maximum(alpha, MIN_ALPHA)
    return ops.sigmoid(log_gamma(alpha, seed) - log_gamma(alpha, seed))


def log_gamma(alpha, seed):
    """Draws the logarithm of one number of Gamma(α) for each α.

    Args:
        alpha: Float32 tensor of shape `(n,)`, positive.
        seed: A `keras.random.SeedGenerator`.

    Returns:
        Tensor of shape `(n,)`, differentiable in `alpha`.

    Reference:
        Marsaglia and Tsang, 2000, A simple method for generating gamma
        variables; for the gradient
        [Naesseth et al., 2017](https://arxiv.org/abs/1610.05683).
    """
    size = ops.shape(alpha)[0]
    normal = ops.transpose(random.normal((size, NUM_PROPOSALS), seed=seed))
    uniform = draw_uniform(size, NUM_PROPOSALS, seed)
    boosts = draw_uniform(size, BOOST, seed)
    d = alpha + BOOST - 1 / 3
    c = 1 / ops.sqrt(9 * d)
    root = 1 + c * normal
    # Where the root is not positive the proposal is refused, whatever this is.
    cube = ops.maximum(root, 1e-3) ** 3
    bound = 0.5 * normal**2 + d * (1 - cube + ops.log(cube))
    accepted = ops.logical_and(root > 0, ops.log(uniform) < bound)
    # The mode, 0, stands in where all are refused: once in 10^8 times.
    chosen = ops.zeros((size,))
    for i in reversed(range(NUM_PROPOSALS)):
        chosen = ops.where(accepted[i], normal[i], chosen)
    outcome = ops.log(d) + 3 * ops.log(ops.maximum(1 + c * chosen, 1e-3))
    for i in range(BOOST):
        outcome = outcome + ops.log(boosts[i]) / (alpha + i)
    return outcome


def draw_uniform(size, count, seed):
    """Uniform numbers that have a logarithm, `count` for each of `size`."""
    numbers = random.uniform((size, count), seed=seed)
    return ops.maximum(ops.transpose(numbers), 1e-30)
