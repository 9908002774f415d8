"""Hue and saturation of RGB images, differentiable in everything.

The HSV cone of colours is used without a detour through its coordinates: with
V the largest and m the smallest of the three channels, V - m is the chroma,
and the hue tells where on the hexagon between them each channel lies.
"""

from keras import ops


def rotate_hue(red, green, blue, turns):
    """Rotates the hue, and keeps saturation and value.

    Args:
        red: Tensor, the red channel.
        green: Tensor of the same shape.
        blue: Tensor of the same shape.
        turns: Tensor that broadcasts against them, in full turns.

    Returns:
        List of three tensors.
    """
    value = ops.maximum(red, ops.maximum(green, blue))
    least = ops.minimum(red, ops.minimum(green, blue))
    chroma = value - least
    # Grey has no hue; whatever it gets here is multiplied by no chroma.
    divisor = ops.where(chroma > 0, chroma, 1)
    hue = ops.where(
        value == red,
        (green - blue) / divisor,
        ops.where(
            value == green,
            2 + (blue - red) / divisor,
            4 + (red - green) / divisor,
        ),
    )
    hue = hue + 6 * turns
    return [
        least + chroma * hexagon(hue - position) for position in (0.0, 2.0, 4.0)
    ]


def hexagon(distance):
    """How much of the chroma a channel has, from its distance in sixths."""
    # To the nearest of all turns: between -3 and 3.
    distance = distance - 6 * ops.stop_gradient(ops.round(distance / 6))
    return ops.clip(2 - ops.abs(distance), 0, 1)


def scale_saturation(images, factor, axis):
    """Multiplies the saturation, at most to 1; keeps hue and value.

    Args:
        images: Tensor of RGB images with non-negative values.
        factor: Non-negative tensor that broadcasts against `images`.
        axis: Integer, the axis of the channels.

    Returns:
        Tensor of the shape of `images`.
    """
    value = ops.max(images, axis=axis, keepdims=True)
    chroma = value - ops.min(images, axis=axis, keepdims=True)
    # The saturation is chroma / value. Grey stays as it is.
    most = value / ops.where(chroma > 0, chroma, 1)
    factor = ops.where(chroma > 0, ops.minimum(factor, most), 0)
    return value - factor * (value - images)
