import numpy as np
import pytest

from tests.layers.attention.attention_cases import BATCH
from tests.layers.attention.attention_cases import SIZE
from tests.layers.attention.attention_cases import Case
from tests.layers.attention.attention_cases import N
from tests.layers.attention.attention_cases import inputs
from tests.layers.attention.attention_cases import make_rows
from tests.layers.attention.attention_cases import projections
from tests.layers.samples import make_sample
from tests.numerics import to_numpy


def test_all_projections_respond_and_no_other_is_kept():
    layer = Case("group_query").build(use_gate=True)
    gates = {each.name: each.kernel_gate.shape for each in projections(layer)}
    assert gates == {
        "query": (N, 4, 3),
        "key": (N, 2, 3),
        "gate": (N, 4, 3),
        "value": (N, 2, 3),
        "attention_output": (N, SIZE),
    }
    assert len(layer.weights) == 6 * len(gates)


@pytest.mark.parametrize("arguments", [{}, {"use_gate": True}], ids=str)
def test_one_head_of_the_query_each_equals_multi_head(arguments):
    layer = Case("group_query").build(
        head_dim=3, num_query_heads=2, num_key_value_heads=2, **arguments
    )
    other = Case("multi_head").build(key_dim=3, num_heads=2, **arguments)
    for ours, theirs in zip(
        projections(layer), projections(other), strict=True
    ):
        theirs.set_weights(ours.get_weights())
    sample = make_sample(make_rows(BATCH))
    np.testing.assert_allclose(
        to_numpy(layer(*inputs(), hyperparameters=sample)),
        to_numpy(other(*inputs(), hyperparameters=sample)),
        rtol=1e-4,
        atol=1e-4,
    )


def test_heads_that_cannot_be_shared_out_are_refused():
    with pytest.raises(ValueError, match="divisible by `num_key_value_heads`"):
        Case("group_query").make(num_query_heads=3)
