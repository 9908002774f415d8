"""Images read between their pixels, differentiable in where they are read.

TensorFlow's own operation has no gradient to the transformation. Where the
places lie outside of the image they are treated as it treats them; see
`MapCoordinate` in its `image_ops.h`.
"""

from keras import ops

FILL_MODES = ("reflect", "wrap", "constant", "nearest")
INTERPOLATIONS = ("nearest", "bilinear")


def affine_transform(
    images,
    matrices,
    interpolation="bilinear",
    fill_mode="constant",
    fill_value=0.0,
):
    """Reads every pixel of the output where an affine map sends it.

    Args:
        images: Float tensor of shape `(batch_size, height, width, channels)`.
        matrices: Tensor of shape `(batch_size, 2, 3)`. The pixel in column x
            and row y is read at `matrix @ (x, y, 1)`.
        interpolation: `"bilinear"` or `"nearest"`. The latter has no gradient
            to the matrices.
        fill_mode: `"reflect"`, `"wrap"`, `"constant"` or `"nearest"`.
        fill_value: Float, what is outside if `fill_mode` is `"constant"`.

    Returns:
        Tensor of the shape of `images`.
    """
    batch_size, height, width, channels = ops.shape(images)
    rows = ops.reshape(ops.arange(height, dtype=images.dtype), (-1, 1))
    columns = ops.arange(width, dtype=images.dtype)
    x, y = (
        ops.reshape(matrices[:, i, 0], (-1, 1, 1)) * columns
        + ops.reshape(matrices[:, i, 1], (-1, 1, 1)) * rows
        + ops.reshape(matrices[:, i, 2], (-1, 1, 1))
        for i in (0, 1)
    )
    pixels = ops.reshape(images, (-1, channels))
    first = ops.reshape(ops.arange(batch_size) * (height * width), (-1, 1, 1))
    columns_around = neighbours(x, width, interpolation, fill_mode)
    terms = []
    for row, row_weight in neighbours(y, height, interpolation, fill_mode):
        row = first + row * width
        terms += [
            (row + column, row_weight * column_weight)
            for column, column_weight in columns_around
        ]
    return weighted_sum(pixels, terms, fill_mode, fill_value)


def scale_and_translate(
    images,
    scales,
    offsets,
    interpolation="bilinear",
    fill_mode="constant",
    fill_value=0.0,
):
    """The affine maps without rotation and shear, at a lower cost.

    Args:
        images: Float tensor of shape `(batch_size, height, width, channels)`.
        scales: Pair of tensors of shape `(batch_size or 1, 1)`, or numbers,
            for rows and columns. Row y is read at `scale * y + offset`.
        offsets: Pair of tensors of shape `(batch_size, 1)`.
        interpolation: `"bilinear"` or `"nearest"`. The latter has no gradient
            to scales and offsets.
        fill_mode: `"reflect"`, `"wrap"`, `"constant"` or `"nearest"`.
        fill_value: Float, what is outside if `fill_mode` is `"constant"`.

    Returns:
        Tensor of the shape of `images`.
    """
    for scale, offset in zip(scales, offsets):
        # Rows first; then the columns have taken their place.
        images = read_rows(
            images, scale, offset, interpolation, fill_mode, fill_value
        )
        images = ops.transpose(images, (0, 2, 1, 3))
    return images


def read_rows(images, scale, offset, interpolation, fill_mode, fill_value):
    """Reads row y of every image at `scale * y + offset`."""
    shape = ops.shape(images)
    batch_size, height, width, channels = shape
    y = scale * ops.arange(height, dtype=images.dtype) + offset
    rows = ops.reshape(images, (-1, width * channels))
    first = ops.reshape(ops.arange(batch_size) * height, (-1, 1))
    terms = [
        (first + row, weight)
        for row, weight in neighbours(y, height, interpolation, fill_mode)
    ]
    outputs = weighted_sum(rows, terms, fill_mode, fill_value)
    return ops.reshape(outputs, shape)


def weighted_sum(table, terms, fill_mode, fill_value):
    """Adds up rows of a table, and the fill for the weight that is missing.

    Args:
        table: Tensor of shape `(n, k)`.
        terms: List of pairs of indices and weights of shape `(...)`.
        fill_mode: String.
        fill_value: Float.

    Returns:
        Tensor of shape `(..., k)`.
    """
    outputs = sum(
        ops.expand_dims(weight, -1) * ops.take(table, index, axis=0)
        for index, weight in terms
    )
    if fill_mode == "constant" and fill_value:
        missing = 1 - sum(weight for _, weight in terms)
        outputs = outputs + fill_value * ops.expand_dims(missing, -1)
    return outputs


def neighbours(coordinates, size, interpolation, fill_mode):
    """The pixels of one axis around each place, and how much each counts.

    Args:
        coordinates: Float tensor, in pixels.
        size: Integer, the number of pixels.
        interpolation: String.
        fill_mode: String.

    Returns:
        List of pairs of a tensor of indices inside of the image and one of
        weights. They sum to one but where a part is to be filled.
    """
    last = ops.cast(size - 1, coordinates.dtype)
    coordinates = fold(coordinates, size, fill_mode)
    if interpolation == "nearest":
        # Halves go away from zero, unlike in `ops.round`.
        nearest = ops.floor(ops.abs(coordinates) + 0.5)
        nearest = ops.sign(coordinates) * nearest
        pairs = [(nearest, ops.ones_like(coordinates))]
    else:
        # On a pixel the weight is exactly 0, and its gradient is not.
        lower = ops.stop_gradient(ops.floor(coordinates))
        weight = coordinates - lower
        pairs = [(lower, 1 - weight), (lower + 1, weight)]
    terms = []
    for pixel, weight in pairs:
        index = ops.clip(pixel, 0, last)
        if fill_mode == "constant":
            weight = weight * ops.cast(index == pixel, weight.dtype)
        terms.append((ops.cast(index, "int32"), weight))
    return terms


def fold(coordinates, size, fill_mode):
    """Moves places outside of the image into it, as the fill mode wants.

    Args:
        coordinates: Float tensor, in pixels.
        size: Integer, the number of pixels.
        fill_mode: String. `"constant"` moves nothing.

    Returns:
        Tensor of the shape of `coordinates`.
    """
    size = ops.cast(size, coordinates.dtype)
    if fill_mode == "constant":
        return coordinates
    if fill_mode == "reflect":
        coordinates = ops.where(coordinates < 0, -1 - coordinates, coordinates)
        # Half a pixel around an edge is the pixel at the edge.
        coordinates = ops.maximum(coordinates, 0)
        turns = ops.floor(coordinates / (2 * size))
        coordinates = coordinates - 2 * size * ops.stop_gradient(turns)
        coordinates = ops.where(
            coordinates >= size, 2 * size - 1 - coordinates, coordinates
        )
    elif fill_mode == "wrap":
        # TensorFlow mixes two periods, and does not mix the pixels at the two
        # edges.
        period = ops.maximum(size - 1, 1)
        turns = ops.where(
            coordinates < 0,
            ops.floor(-coordinates / period) + 1,
            -ops.floor(coordinates / period),
        )
        is_inside = (coordinates >= 0) & (coordinates <= size - 1)
        turns = ops.where(is_inside, 0, turns)
        coordinates = coordinates + size * ops.stop_gradient(turns)
    return ops.clip(coordinates, 0, size - 1)
