import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_stn.datasets import language

WORDS = np.arange(1, 1001)


def read(segments):
    return [(x.numpy(), y.numpy()) for x, y in segments]


def sizes(batches):
    """The words in each segment; padding comes behind them, in all rows."""
    found = []
    for x, y in batches:
        size = int((x[0] != 0).sum())
        np.testing.assert_array_equal(x != 0, y != 0)
        assert (x[:, :size] != 0).all()
        assert (x[:, size:] == 0).all()
        found.append(size)
    return found


def join(batches):
    """The streams of words and of targets, without padding."""
    return [
        np.concatenate(
            [pair[i][:, :size] for pair, size in zip(batches, sizes(batches))],
            axis=1,
        )
        for i in (0, 1)
    ]


def write(folder, **texts):
    for name, text in texts.items():
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")


def test_the_parts_are_encoded_with_the_words_of_training(tmp_path):
    write(tmp_path, train="b a\na b\n", valid="a\n", test="b b\n")
    corpus = language.load(str(tmp_path))
    vocabulary, train, validation, test = corpus
    assert vocabulary.words == ("", "b", "a", "<eos>")
    assert train.tolist() == [1, 2, 3, 2, 1, 3]
    assert validation.tolist() == [2, 3]
    assert test.tolist() == [1, 1, 3]
    assert {part.dtype for part in corpus[1:]} == {np.dtype("int32")}


def test_new_words_of_validation_need_the_unknown_word(tmp_path):
    write(tmp_path, train="b a\n", valid="a\nc\n", test="b\n")
    with pytest.raises(ValueError, match=r"'c' in line 2 of .*valid\.txt"):
        language.load(tmp_path)
    corpus = language.load(tmp_path, max_size=10)
    words = corpus.vocabulary.decode(corpus.validation)
    assert words == ["a", "<eos>", "<unk>", "<eos>"]


def test_missing_files_are_named(tmp_path):
    write(tmp_path, train="a\n")
    with pytest.raises(
        FileNotFoundError,
        match=r"data_dir.*without \['valid.txt', 'test.txt'\]",
    ):
        language.load(tmp_path)


@pytest.mark.parametrize("random_lengths", [False, True])
def test_joined_segments_are_the_streams_and_targets_follow(random_lengths):
    segments = language.to_segments(WORDS, 7, 10, random_lengths, seed=1)
    # 1000 words are 142 for each of 7 rows, and 6 are dropped.
    streams = WORDS[:994].reshape(7, 142)
    for _ in range(2):
        x, y = join(read(segments))
        np.testing.assert_array_equal(x, streams[:, :-1])
        np.testing.assert_array_equal(y, streams[:, 1:])


def test_a_pass_has_one_known_shape_and_number_of_steps():
    segments = language.to_segments(WORDS, 7, 10)
    spec = tf.TensorSpec((7, 10), "int32")
    assert segments.element_spec == (spec, spec)
    assert int(segments.cardinality()) == len(read(segments)) == 15
    assert sizes(read(segments)) == [10] * 14 + [1]


def test_a_length_that_divides_the_text_needs_no_padding():
    segments = language.to_segments(WORDS[:42], 2, 5)
    assert sizes(read(segments)) == [5] * 4


def test_two_words_a_stream_are_enough():
    ((x, y),) = read(language.to_segments([5, 6, 7, 8], 2, 3))
    assert x.tolist() == [[5, 0, 0], [7, 0, 0]]
    assert y.tolist() == [[6, 0, 0], [8, 0, 0]]


def test_random_lengths_have_one_shape():
    segments = language.to_segments(WORDS, 2, 30, random_lengths=True)
    assert segments.element_spec[0] == tf.TensorSpec((2, 50), "int32")
    segments = language.to_segments(
        WORDS, 2, 30, random_lengths=True, max_length=33
    )
    assert segments.element_spec[1] == tf.TensorSpec((2, 33), "int32")
    assert max(sizes(read(segments))) <= 33


def test_random_lengths_are_those_of_awd_lstm():
    ids = np.ones(200_000, "int32")
    segments = language.to_segments(ids, 1, 30, random_lengths=True, seed=3)
    drawn = np.array(sizes(read(segments))[:-1])
    rng = np.random.default_rng(0)
    mean = np.where(rng.random(100_000) < 0.95, 30, 15.0)
    expected = np.maximum(5, rng.normal(mean, 5).astype("int32"))
    # About 7,000 lengths: 4 standard errors.
    assert abs(drawn.mean() - expected.mean()) < 0.3
    assert abs(drawn.std() - expected.std()) < 0.3
    for bound in (8, 15, 22, 30, 37):
        share = (expected <= bound).mean()
        error = 4 * (share * (1 - share) / len(drawn)) ** 0.5
        assert abs((drawn <= bound).mean() - share) < error
    assert drawn.min() >= 5


def test_short_random_lengths_are_about_5():
    segments = language.to_segments(WORDS, 1, 1, random_lengths=True)
    assert 4 <= min(sizes(read(segments)))
    segments = language.to_segments(
        WORDS, 1, 1, random_lengths=True, max_length=2
    )
    assert max(sizes(read(segments))) == 2


@pytest.mark.parametrize("batch_size", [1, 7, 100, 300])
def test_every_pass_of_random_lengths_has_equally_many(batch_size):
    segments = language.to_segments(WORDS, batch_size, 20, True, seed=1)
    count = int(segments.cardinality())
    assert [len(read(segments)) for _ in range(4)] == [count] * 4


def test_every_pass_draws_new_lengths_and_a_seed_repeats_them():
    def passes(seed):
        segments = language.to_segments(WORDS, 1, 20, True, seed)
        return [sizes(read(segments)) for _ in range(3)]

    first = passes(1)
    assert first[0] != first[1] != first[2]
    assert passes(1) == first
    assert passes(2) != first
    keras.utils.set_random_seed(5)
    unseeded = passes(None)
    assert passes(None) != unseeded
    keras.utils.set_random_seed(5)
    assert passes(None) == unseeded


def test_a_repeated_dataset_draws_new_lengths():
    segments = language.to_segments(WORDS, 1, 20, True, seed=1).repeat(2)
    found = sizes(read(segments))
    half = int(np.searchsorted(np.cumsum(found), 999)) + 1
    assert sum(found[:half]) == sum(found[half:]) == 999
    assert found[:half] != found[half:]


def test_a_stateful_rnn_goes_on_from_segment_to_segment():
    rnn = keras.layers.SimpleRNN(3, stateful=True, return_sequences=True)
    embedding = keras.layers.Embedding(101, 2, mask_zero=True)
    batches = read(language.to_segments(WORDS[:100], 2, 9, True, seed=1))
    found = [
        rnn(embedding(x))[:, :size]
        for (x, _), size in zip(batches, sizes(batches))
    ]
    rnn.reset_state()
    whole = rnn(embedding(WORDS[:100].reshape(2, 50)[:, :-1]))
    np.testing.assert_allclose(np.concatenate(found, 1), whole, atol=1e-6)


def losses(reduction):
    """The losses of segments of 2 and of 4 words, padded to 4."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.layers.Embedding(5, 3, mask_zero=True),
            keras.layers.Dense(5),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, reduction=reduction
    )
    found = []
    for x, y in (
        ([[1, 2, 0, 0]], [[2, 3, 0, 0]]),
        ([[1, 2] * 2], [[2, 3] * 2]),
    ):
        value = loss(np.array(y), model(np.array(x)))
        found.append(float(value))
    return found


def test_a_mean_trains_short_segments_as_much_as_long_ones_a_sum_less():
    # What `to_segments` says about AWD-LSTM's learning rate.
    short, long = losses("sum_over_batch_size")
    np.testing.assert_allclose(short, long, rtol=1e-6)
    short, long = losses("sum")
    np.testing.assert_allclose(short, long / 2, rtol=1e-6)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(batch_size=0), "batch_size=0"),
        (dict(length=0), "length=0"),
        (dict(ids=[1, 2, 3]), r"two words.*shape \(3,\), batch_size=2"),
        (dict(ids=[[1, 2, 3, 4]]), r"shape \(1, 4\)"),
        (dict(max_length=9), "random_lengths=True.*max_length=9"),
        (
            dict(random_lengths=True, max_length=2),
            "max_length=2, length=3",
        ),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    defaults = dict(ids=WORDS, batch_size=2, length=3)
    with pytest.raises(ValueError, match=message):
        language.to_segments(**{**defaults, **arguments})
