from keras import ops


def largest_divisor(size, limit):
    """The largest number up to `limit` that divides `size`.

    Args:
        size: Integer or scalar tensor.
        limit: Integer.

    Returns:
        Integer or scalar tensor, like `size`.
    """
    if isinstance(size, int):
        # The last batch may leave nothing to one of a strategy's replicas.
        limit = max(1, min(limit, size))
        return next(g for g in range(limit, 0, -1) if size % g == 0)
    candidates = ops.arange(limit, 0, -1, dtype=size.dtype)
    divides = ops.equal(size % candidates, 0)
    return candidates[ops.argmax(ops.cast(divides, "int32"))]
