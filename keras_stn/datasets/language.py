"""Text for language models over words, as of the Penn Treebank."""

import pathlib
from typing import NamedTuple

import numpy as np

from keras_stn import backend
from keras_stn.datasets.vocabulary import Vocabulary


class Corpus(NamedTuple):
    """A text in three parts, as ids of words.

    Args:
        vocabulary: The `Vocabulary` of the training text.
        train: 1-D array of ids, int32, the training text.
        validation: 1-D array of ids, int32, the validation text.
        test: 1-D array of ids, int32, the test text.
    """

    vocabulary: Vocabulary
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def load(data_dir, max_size=None):
    """Loads a text for a language model over words.

    The files are in the format of the Penn Treebank as language models use
    it: UTF-8, one sentence a line, words separated by spaces, rare words
    replaced by `<unk>`. The end of each line becomes the word `<eos>`. The
    vocabulary is that of the training text. Nothing is downloaded.

    Args:
        data_dir: String or path, a folder with the files `train.txt`,
            `valid.txt` and `test.txt`.
        max_size: Integer, the largest size of the vocabulary; rarer words
            become `<unk>`. If `None`, the vocabulary has all words of the
            training text. See `Vocabulary.from_file`.

    Returns:
        A named tuple of `vocabulary`, a `Vocabulary`, and `train`,
        `validation` and `test`, 1-D arrays of ids, int32.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a file holds no words or is not UTF-8, or if a word is
            neither in the training text nor can be `<unk>`.

    Example:

    >>> import pathlib
    >>> from keras_stn.datasets import language
    >>> for part in ("train", "valid", "test"):
    ...     path = pathlib.Path(f"{part}.txt")
    ...     _ = path.write_text("the cat saw the dog\\n", encoding="utf-8")
    >>> corpus = language.load(".")
    >>> len(corpus.vocabulary)
    6
    >>> corpus.train.tolist()
    [1, 2, 3, 1, 4, 5]
    """
    paths = [
        pathlib.Path(data_dir, f"{part}.txt")
        for part in ("train", "valid", "test")
    ]
    missing = [path.name for path in paths if not path.is_file()]
    if missing:
        raise FileNotFoundError(
            "`data_dir` must hold the files `train.txt`, `valid.txt` and "
            "`test.txt`, one sentence a line, words separated by spaces. "
            f"Received: data_dir={str(data_dir)!r} without {missing}"
        )
    vocabulary = Vocabulary.from_file(paths[0], max_size)
    return Corpus(vocabulary, *map(vocabulary.encode_file, paths))


def to_segments(
    ids,
    batch_size,
    length,
    random_lengths=False,
    seed=None,
    max_length=None,
):
    """Cuts a text into batches for truncated backpropagation through time.

    The text is laid out as `batch_size` streams of equal length, the rows of
    a batch; words at its end that do not fill another column are dropped. A
    row of one batch goes on where it ended in the batch before, so that a
    stateful RNN can keep its state. The targets `y` are `x` one word later.

    All batches have one shape, so that a step is compiled only once. What is
    shorter is padded with zeros at its end: with
    `keras.layers.Embedding(mask_zero=True)`, RNNs, losses and metrics do
    not see the padding.

    With `random_lengths=True` segments have the lengths of AWD-LSTM, drawn
    anew on every pass: of mean `length`, or in 5 % of the cases `length / 2`,
    with standard deviation 5, at least 5 and at most `max_length`. All are
    padded to `max_length`. Every pass has as many segments as the text takes
    on average; so its lengths are stretched or shrunk a little, to fill it.

    Keras takes a loss's mean over the words that are not masked, and each
    batch has the same say in an epoch's `loss`. So short segments train as
    strongly as long ones, whereas AWD-LSTM multiplies the learning rate by
    `segment_length / length`. To do as AWD-LSTM does with plain SGD, take a
    loss with `reduction="sum"` and divide the learning rate by
    `batch_size * length`. This is the same step as long as no gradient is
    clipped and no weights decay. `keras_stn.metrics.Perplexity` counts every
    word alike, whatever the reduction.

    Args:
        ids: 1-D array of integers, the words.
        batch_size: Integer, the number of streams.
        length: Integer, the words of a segment.
        random_lengths: Boolean, whether lengths vary about `length`.
        seed: Integer, which makes random lengths repeatable, pass for pass.
        max_length: Integer, the largest random length. If `None`,
            `length + 20`. For random lengths only.

    Returns:
        A `tf.data.Dataset` of pairs `(x, y)`, both int32 of shape
        `(batch_size, length)`, or `(batch_size, max_length)` with random
        lengths. Its cardinality is known.

    Raises:
        ValueError: If an argument is out of range, or `ids` are too few for
            two words a stream.

    Example:

    >>> from keras_stn.datasets import language
    >>> segments = language.to_segments(range(1, 13), batch_size=2, length=3)
    >>> for x, y in segments:
    ...     print(x.numpy().tolist(), y.numpy().tolist())
    [[1, 2, 3], [7, 8, 9]] [[2, 3, 4], [8, 9, 10]]
    [[4, 5, 0], [10, 11, 0]] [[5, 6, 0], [11, 12, 0]]

    Reference:
        [Merity et al., 2018](https://arxiv.org/abs/1708.02182)
    """
    ids = np.asarray(ids, "int32")
    for name, value in (("batch_size", batch_size), ("length", length)):
        if value < 1:
            raise ValueError(
                f"`{name}` must be at least 1. Received: {name}={value}"
            )
    if max_length is not None and not random_lengths:
        raise ValueError(
            "`max_length` is for random lengths only; pass "
            f"`random_lengths=True`. Received: max_length={max_length}"
        )
    if max_length is not None and max_length < length:
        raise ValueError(
            "`max_length` must be at least `length`. "
            f"Received: max_length={max_length}, length={length}"
        )
    if ids.ndim != 1 or len(ids) < 2 * batch_size:
        raise ValueError(
            "`ids` must be 1-D and hold at least two words for each of the "
            "`batch_size` streams, one to predict from the other. "
            f"Received: ids of shape {ids.shape}, batch_size={batch_size}"
        )
    streams = ids[: len(ids) // batch_size * batch_size]
    streams = streams.reshape(batch_size, -1)
    if not random_lengths:
        return backend.segments(streams, length)
    return backend.random_segments(
        streams, length, max_length or length + 20, seed
    )
