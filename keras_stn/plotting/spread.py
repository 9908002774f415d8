def spread(targets, gap, low=0.0, high=1.0):
    """Moves places apart until they have room, as little as possible.

    Of all places in the same order and at least `gap` apart, these have the
    least squared distance from the targets: less their gaps, they rise, and
    neighbours that would fall share their mean (Ayer et al., 1955).

    Args:
        targets: List of floats, in any order.
        gap: Float, the least distance between two places.
        low: Float, the lowest place.
        high: Float, the highest place. If it is too near to `low`, the places
            go beyond it.

    Returns:
        List of floats, one for each target, in the order of the targets.

    Example:

    >>> from keras_stn.plotting.spread import spread
    >>> spread([0.5, 0.5, 0.9], gap=0.25)
    [0.375, 0.625, 0.9]
    """
    order = sorted(range(len(targets)), key=lambda i: targets[i])
    blocks = []
    for rank, index in enumerate(order):
        blocks.append((targets[index] - rank * gap, 1))
        while len(blocks) > 1 and blocks[-2][0] >= blocks[-1][0]:
            (mean, size), (last_mean, last_size) = blocks[-2:]
            both = size + last_size
            mean = (mean * size + last_mean * last_size) / both
            blocks[-2:] = [(mean, both)]
    bases = [mean for mean, size in blocks for _ in range(size)]
    highest = high - (len(targets) - 1) * gap
    places = [0.0] * len(targets)
    for rank, (index, base) in enumerate(zip(order, bases)):
        places[index] = max(low, min(base, highest)) + rank * gap
    return places
