"""Hue and saturation of RGB images, differentiable in everything.

The HSV cone of colours is used without a detour through its coordinates: with
V the largest and m the smallest of the three channels, V - m is the chroma,
and the hue tells where on the hexagon between them each channel lies. Channels
are planes, tensors of their own: an innermost axis of three is slow.
"""

from keras import ops


def rotate_hue(planes, turns, chroma=None):
    """Rotates the hue, and keeps the value.

    Args:
        planes: List of three tensors, the red, green and blue channel.
        turns: Tensor that broadcasts against them, in full turns.
        chroma: Tensor of the shape of a plane, the chroma to give the
            colours. If `None`, they keep theirs, and with it the saturation.

    Returns:
        List of three tensors.
    """
    red, green, blue = planes
    value, old_chroma = value_and_chroma(planes)
    chroma = old_chroma if chroma is None else chroma
    # In turns between -1/2 and 1/2, so that no hue is more than a turn and a
    # half from any channel's place.
    turns = turns - ops.stop_gradient(ops.round(turns))
    is_red, is_green = value == red, value == green
    difference = ops.where(
        is_red, green - blue, ops.where(is_green, blue - red, red - green)
    )
    corner = ops.where(is_red, 0.0, ops.where(is_green, 2.0, 4.0))
    # Grey has no hue; whatever it gets here is multiplied by no chroma.
    divisor = ops.where(old_chroma > 0, old_chroma, 1)
    hue = difference / divisor + (ops.cast(corner, value.dtype) + 6 * turns)
    least = value - chroma
    return [least + chroma * hexagon(hue - place) for place in (0.0, 2.0, 4.0)]


def hexagon(distance):
    """How much of the chroma a channel has.

    Args:
        distance: Tensor, the hue's distance from the channel's place on the
            hexagon, in sixths of a turn, between -9 and 9.

    Returns:
        Tensor of the same shape, between 0 and 1.
    """
    distance = ops.abs(distance)
    distance = ops.minimum(distance, ops.abs(distance - 6))
    return ops.clip(2 - distance, 0, 1)


def scale_saturation(planes, factor, black=0.0):
    """Multiplies the saturation, at most to 1; keeps hue and value.

    Args:
        planes: List of three tensors, the red, green and blue channel.
        factor: Non-negative tensor that broadcasts against them.
        black: Float, the value of black.

    Returns:
        List of three tensors.
    """
    value, chroma = value_and_chroma(planes)
    share = scaled_chroma(value, chroma, factor, black) / ops.where(
        chroma > 0, chroma, 1
    )
    return [value - share * (value - plane) for plane in planes]


def adjust_colors(planes, factor, turns, black=0.0):
    """`scale_saturation`, then `rotate_hue`, at the cost of the latter.

    Args:
        planes: As in `scale_saturation`.
        factor: As in `scale_saturation`.
        turns: As in `rotate_hue`.
        black: As in `scale_saturation`.

    Returns:
        List of three tensors.
    """
    chroma = scaled_chroma(*value_and_chroma(planes), factor, black)
    return rotate_hue(planes, turns, chroma)


def value_and_chroma(planes):
    """The largest of three channels, and its distance from the smallest."""
    red, green, blue = planes
    value = ops.maximum(red, ops.maximum(green, blue))
    return value, value - ops.minimum(red, ops.minimum(green, blue))


def scaled_chroma(value, chroma, factor, black):
    """The chroma of a saturation that is multiplied, at most to 1."""
    # The saturation is chroma / (value - black).
    return ops.minimum(factor * chroma, ops.maximum(value - black, 0))
