import numpy as np
import pytest
from keras import ops

import keras_stn as stn
from keras_stn.layers.augmentation.cut_mix import cut
from tests.layers.augmentation.mix_up_test import mix

# Every pixel of an image tells which image it is from.
NUMBERED = np.broadcast_to(
    np.arange(64, dtype="float32")[:, None, None, None], (64, 9, 7, 2)
)


def from_partner(outputs, partners):
    """Which pixels are the partner's, where the two differ."""
    own = np.arange(64)[:, None, None, None]
    other = np.array(partners)[:, None, None, None]
    assert np.all((outputs == own) | (outputs == other))
    return np.array(outputs == other)[np.array(partners) != np.arange(64)]


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_the_share_counts_the_pixels_that_are_kept(data_format):
    layer = stn.layers.CutMix(1.0, data_format=data_format)
    images = NUMBERED
    if data_format == "channels_first":
        images = np.moveaxis(images, -1, 1)
    outputs, (partners, weights) = mix(layer, images)
    pasted = from_partner(np.array(outputs), partners)
    kept = 1 - pasted.mean(axis=(1, 2, 3))
    differ = np.array(partners) != np.arange(64)
    np.testing.assert_allclose(np.array(weights)[differ], kept, atol=1e-6)
    assert 0.1 < kept.mean() < 0.95 and len(np.unique(kept)) > 10


def test_what_is_pasted_is_one_box_in_all_channels():
    outputs, (partners, _) = mix(stn.layers.CutMix(1.0), NUMBERED)
    for pasted in from_partner(np.array(outputs), partners):
        assert np.all(pasted[..., 0] == pasted[..., 1])
        rows, columns = pasted.any(axis=(1, 2)), pasted.any(axis=(0, 2))
        np.testing.assert_array_equal(
            pasted[..., 0], rows[:, None] & columns[None, :]
        )
        for side in (rows, columns):
            assert np.count_nonzero(np.diff(side.astype(int))) <= 2


def test_a_side_is_cut_off_at_the_border():
    inside, share = cut(
        4, ops.convert_to_tensor([0.5, 0.5]), ops.convert_to_tensor([0.5, 0.0])
    )
    np.testing.assert_array_equal(
        inside, [[False, True, True, False], [True, False, False, False]]
    )
    np.testing.assert_allclose(share, [0.5, 0.25])


def test_factor_may_be_a_pair():
    pair = stn.layers.CutMix((0.2, stn.Float("high", 0.3, 1.0)))
    assert [h.name for h in pair.declarations] == ["high"]
    again = stn.layers.CutMix.from_config(pair.get_config())
    assert again.factor == pair.factor
    with pytest.raises(ValueError, match="a pair"):
        stn.layers.CutMix((0.1, 0.2, 0.3))


def test_other_ranks_are_refused():
    with pytest.raises(ValueError, match="ndim"):
        mix(stn.layers.CutMix(1.0), np.ones((8, 4), "float32"))
