import pytest

from keras_stn.callbacks.update_frequency import UpdateFrequency


@pytest.mark.parametrize(
    ("value", "steps_per_execution", "due"),
    [
        ("epoch", 1, []),
        ("batch", 1, [0, 1, 2, 3, 4, 5, 6, 7]),
        (3, 1, [2, 5]),
        (3, 2, [3, 5]),
        (2, 4, [3, 7]),
        (5, 2, [5]),
    ],
)
def test_executions_that_pass_another_period_are_due(
    value, steps_per_execution, due
):
    frequency = UpdateFrequency("freq", value)
    last_batches = range(steps_per_execution - 1, 8, steps_per_execution)
    # From the end, for nothing may depend on what came before.
    assert [
        batch
        for batch in reversed(last_batches)
        if frequency.is_due(batch, steps_per_execution)
    ] == due[::-1]


@pytest.mark.parametrize("value", ["step", 0, -1, 2.5, None, True])
def test_an_unknown_frequency_is_refused(value):
    with pytest.raises(ValueError, match="`when` must be .* Received: when="):
        UpdateFrequency("when", value)
