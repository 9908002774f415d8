import numpy as np
import pytest

from tests.layers.attention.attention_cases import BATCH
from tests.layers.attention.attention_cases import SIZE
from tests.layers.attention.attention_cases import Case
from tests.layers.attention.attention_cases import N
from tests.layers.attention.attention_cases import draw
from tests.layers.attention.attention_cases import make_rows
from tests.layers.attention.attention_cases import projections
from tests.layers.attention.attention_cases import rate
from tests.layers.samples import make_sample
from tests.numerics import to_numpy


def test_all_projections_respond_and_no_other_is_kept():
    layer = Case("multi_head").build(use_gate=True)
    names = [each.name for each in projections(layer)]
    expected = ["query", "key", "gate", "value", "attention_output"]
    assert names == expected
    assert len(layer.weights) == 6 * len(expected)
    assert layer.query_dense.kernel_gate.shape == (N, 2, 3)
    assert layer.output_dense.kernel_gate.shape == (N, SIZE)


@pytest.mark.parametrize("axes", [1, (2,), (1, 2)])
def test_attention_axes_may_be_chosen(axes):
    shape = (None, 3, 4, SIZE)
    layer, keras_layer = Case("multi_head").pair(
        {"attention_axes": axes}, shapes=[shape, shape]
    )
    x = draw(BATCH, *shape[1:])
    np.testing.assert_array_equal(
        to_numpy(layer(x, x)), to_numpy(keras_layer(x, x))
    )
    rows = make_rows(BATCH)
    together = layer(x, x, hyperparameters=make_sample(rows))
    row = make_sample(rows[2:3])
    alone = layer(x[2:3], x[2:3], hyperparameters=row)
    np.testing.assert_allclose(
        to_numpy(together)[2], to_numpy(alone)[0], rtol=1e-4, atol=1e-5
    )


def test_dropout_is_what_was_declared():
    assert Case("multi_head").make(dropout=rate()).dropout == rate()
