import array
import collections

import numpy as np

PADDING = ""
END = "<eos>"
UNKNOWN = "<unk>"


class Vocabulary:
    """The words of a language model, and the ids that stand for them.

    Id 0 is padding, the empty word, as in Keras's `TextVectorization` and
    `StringLookup`, so that `keras.layers.Embedding(mask_zero=True)` hides it.
    The other ids are in order of first appearance in the text.

    Text files are in the format of the Penn Treebank: UTF-8, one sentence a
    line, words separated by spaces. The end of each line, also of an empty
    one, is the word `<eos>`.

    Args:
        words: Iterable of different strings, the words by id; the first is
            `""`. `from_file` finds them in a text.

    Raises:
        ValueError: If the first word is not `""` or a word comes twice.

    Example:

    >>> import pathlib
    >>> from keras_stn.datasets.vocabulary import Vocabulary
    >>> path = pathlib.Path("train.txt")
    >>> _ = path.write_text("the cat saw the dog\\n", encoding="utf-8")
    >>> vocabulary = Vocabulary.from_file(path)
    >>> vocabulary.words
    ('', 'the', 'cat', 'saw', 'dog', '<eos>')
    >>> vocabulary.encode("the dog saw the cat").tolist()
    [1, 4, 3, 1, 2]
    >>> vocabulary.decode([4, 5, 0])
    ['dog', '<eos>', '']
    """

    def __init__(self, words):
        self.words = tuple(words)
        self._ids = {word: i for i, word in enumerate(self.words)}
        if self.words[:1] != (PADDING,):
            raise ValueError(
                'The first of `words` must be the padding, `""`. '
                f"Received: words={self.words[:3]}"
            )
        if len(self._ids) < len(self.words):
            word, count = collections.Counter(self.words).most_common(1)[0]
            raise ValueError(
                "`words` must be different from each other. "
                f"Received: {word!r} {count} times"
            )

    @classmethod
    def from_file(cls, path, max_size=None):
        """Makes the vocabulary of a text.

        Args:
            path: String or path, a text file.
            max_size: Integer, the largest number of words, padding, `<eos>`
                and `<unk>` included. The most frequent words are kept, among
                equally frequent ones those that appear first; the others
                become `<unk>`, which is then in the vocabulary in any case.
                If `None`, every word is kept.

        Returns:
            A `Vocabulary`.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the file holds no words or is not UTF-8, or if
                `max_size` is less than 3.
        """
        if max_size is not None and max_size < 3:
            raise ValueError(
                "`max_size` must be at least 3, for padding, `<eos>` and "
                f"`<unk>`. Received: max_size={max_size}"
            )
        counts = collections.Counter()
        for words in read_sentences(path):
            counts.update(words)
        words = list(counts)
        if max_size is not None:
            marks = {END, UNKNOWN}
            others = collections.Counter(
                {w: n for w, n in counts.items() if w not in marks}
            )
            kept = {w for w, _ in others.most_common(max_size - 3)} | marks
            words = [w if w in kept else UNKNOWN for w in counts] + [UNKNOWN]
        return cls(dict.fromkeys([PADDING, *words]))

    def encode(self, words):
        """Turns words into ids.

        Args:
            words: List of strings, or a string of words separated by spaces.
                A word that is not in the vocabulary is taken for `<unk>`.

        Returns:
            1-D NumPy array, int32.

        Raises:
            ValueError: If a word is not in the vocabulary, and `<unk>` is not
                either.
        """
        if isinstance(words, str):
            words = words.split()
        try:
            return np.array(self._to_ids(words), "int32")
        except KeyError as error:
            raise ValueError(
                "A word is not in the vocabulary, and neither is `<unk>` to "
                f"stand for it; {REMEDY}. Received: word {error}"
            ) from None

    def encode_file(self, path):
        """Turns a text into ids.

        Args:
            path: String or path, a text file.

        Returns:
            1-D NumPy array, int32, which holds the id of `<eos>` after the
            ids of each line.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the file holds no words or is not UTF-8, or as in
                `encode`.
        """
        ids = array.array("i")
        for number, words in enumerate(read_sentences(path), start=1):
            try:
                ids.extend(self._to_ids(words))
            except KeyError as error:
                raise ValueError(
                    "A word is not in the vocabulary, and neither is `<unk>` "
                    f"to stand for it; {REMEDY}. Received: word {error} in "
                    f"line {number} of {path}"
                ) from None
        return np.array(ids, "int32")

    def decode(self, ids):
        """Turns ids into words.

        Args:
            ids: List or 1-D array of integers.

        Returns:
            List of strings.

        Raises:
            ValueError: If an id does not belong to the vocabulary.
        """
        ids = np.asarray(ids, "int64")
        strange = ids[(ids < 0) | (ids >= len(self))]
        if strange.size:
            raise ValueError(
                f"Ids must be at least 0 and less than {len(self)}, the size "
                f"of the vocabulary. Received: {strange[0]}"
            )
        return [self.words[i] for i in ids]

    def __len__(self):
        return len(self.words)

    def _to_ids(self, words):
        unknown = self._ids.get(UNKNOWN)
        if unknown is None:
            return [self._ids[word] for word in words]
        return [self._ids.get(word, unknown) for word in words]


REMEDY = (
    "make the vocabulary with `max_size`, which adds `<unk>`, or write "
    "`<unk>` in place of the word"
)


def read_sentences(path):
    """Reads a text line by line.

    Args:
        path: String or path, a text file.

    Yields:
        List of strings, the words of a line and `<eos>`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file holds no words or is not UTF-8.
    """
    is_empty = True
    # Lines are decoded one by one, so that the error can name the line.
    with open(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                words = line.decode("utf-8").split()
            except UnicodeDecodeError as error:
                raise ValueError(
                    "A text must be UTF-8; save it with this encoding. "
                    f"Received: byte {line[error.start]:#04x} in line "
                    f"{number} of {path}"
                ) from None
            is_empty = is_empty and not words
            yield [*words, END]
    if is_empty:
        raise ValueError(
            "A text must hold words, one sentence a line, separated by "
            f"spaces. Received: {path} without a word"
        )
