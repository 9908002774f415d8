import numpy as np
import pytest

from keras_stn.datasets.vocabulary import Vocabulary

TEXT = " b a \n\nc a b\nd d <unk> e\n"


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "train.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


def test_ids_are_in_order_of_first_appearance_behind_padding(path):
    words = Vocabulary.from_file(path).words
    assert words == ("", "b", "a", "<eos>", "c", "d", "<unk>", "e")


def test_every_line_end_also_of_an_empty_line_is_a_word(path):
    vocabulary = Vocabulary.from_file(str(path))
    ids = vocabulary.encode_file(path)
    assert ids.dtype == "int32"
    expected = "b a <eos> <eos> c a b <eos> d d <unk> e <eos>".split()
    assert vocabulary.decode(ids) == expected
    np.testing.assert_array_equal(vocabulary.encode(expected), ids)


@pytest.mark.parametrize(
    "text", ["a\r\nb", "a\nb", " a \n b \n", "a\t\nb\n"], ids=repr
)
def test_line_ends_of_all_kinds_are_one_word(text, tmp_path):
    path = tmp_path / "train.txt"
    path.write_bytes(text.encode())
    vocabulary = Vocabulary.from_file(path)
    assert vocabulary.words == ("", "a", "<eos>", "b")
    assert vocabulary.encode_file(path).tolist() == [1, 2, 3, 2]


@pytest.mark.parametrize(
    "max_size, words",
    [
        (3, ("", "<unk>", "<eos>")),
        # `a`, `b` and `d` come twice; those that appear first are kept.
        (5, ("", "b", "a", "<eos>", "<unk>")),
        (6, ("", "b", "a", "<eos>", "<unk>", "d")),
        (100, ("", "b", "a", "<eos>", "c", "d", "<unk>", "e")),
    ],
)
def test_the_most_frequent_words_are_kept(max_size, words, path):
    vocabulary = Vocabulary.from_file(path, max_size)
    assert vocabulary.words == words
    assert len(vocabulary) == len(words)
    kept = [w if w in words else "<unk>" for w in "c a b <eos>".split()]
    assert vocabulary.decode(vocabulary.encode("c a b <eos>")) == kept


def test_a_largest_size_adds_the_unknown_word(tmp_path):
    path = tmp_path / "train.txt"
    path.write_text("a b\n", encoding="utf-8")
    assert Vocabulary.from_file(path, 9).words == (
        ("", "a", "b", "<eos>", "<unk>")
    )
    assert Vocabulary.from_file(path).words == ("", "a", "b", "<eos>")


def test_the_words_make_the_same_vocabulary_again(path):
    vocabulary = Vocabulary.from_file(path)
    again = Vocabulary(list(vocabulary.words))
    np.testing.assert_array_equal(
        again.encode_file(path), vocabulary.encode_file(path)
    )


def test_words_of_any_script_are_read(tmp_path):
    path = tmp_path / "train.txt"
    path.write_text("Käse Ω 猫\n", encoding="utf-8")
    assert Vocabulary.from_file(path).words[1:] == ("Käse", "Ω", "猫", "<eos>")


def test_an_unknown_word_is_named_with_its_line(tmp_path):
    vocabulary = Vocabulary(["", "a", "<eos>"])
    path = tmp_path / "valid.txt"
    path.write_text("a a\na zebra\n", encoding="utf-8")
    with pytest.raises(
        ValueError, match=r"max_size.*'zebra' in line 2 of .*valid\.txt"
    ):
        vocabulary.encode_file(path)
    with pytest.raises(ValueError, match="Received: word 'zebra'"):
        vocabulary.encode(["a", "zebra"])


@pytest.mark.parametrize("ids", [[0, 3], [-1]])
def test_strange_ids_are_refused(ids):
    with pytest.raises(ValueError, match=f"less than 3.*Received: {ids[-1]}"):
        Vocabulary(["", "a", "<eos>"]).decode(ids)


@pytest.mark.parametrize("text", ["", "\n \n"], ids=repr)
def test_a_text_without_words_is_refused(text, tmp_path):
    path = tmp_path / "train.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"train\.txt without a word"):
        Vocabulary.from_file(path)
    with pytest.raises(ValueError, match=r"train\.txt without a word"):
        Vocabulary(["", "<eos>"]).encode_file(path)


def test_bytes_of_another_encoding_are_named_with_their_line(tmp_path):
    path = tmp_path / "train.txt"
    path.write_bytes(b"cheese\n" * 5000 + "Käse\n".encode("latin-1"))
    with pytest.raises(ValueError, match="UTF-8.*byte 0xe4 in line 5001"):
        Vocabulary.from_file(path)


def test_a_missing_text_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.txt"):
        Vocabulary.from_file(tmp_path / "nowhere.txt")


def test_wrong_words_and_sizes_are_refused(path):
    with pytest.raises(ValueError, match="must be the padding"):
        Vocabulary(["a", "b"])
    with pytest.raises(ValueError, match="must be the padding"):
        Vocabulary([])
    with pytest.raises(ValueError, match="Received: 'b' 2 times"):
        Vocabulary(["", "b", "a", "b"])
    with pytest.raises(ValueError, match="Received: max_size=2"):
        Vocabulary.from_file(path, max_size=2)
