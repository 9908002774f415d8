import pytest

import keras_stn as stn

RATE = stn.Float("rate", 0.0, 1.0, default=0.05)
COUNT = stn.Int("count", 0, 4, default=2)
FILE = """step,epoch,loss,rate,rate_scale,count,count_scale
2,0,1.5,0.125,0.5,1,0.5
4,0,1.25,0.25,0.5,3,0.5
4,0,,,,2,0.5
8,1,1.0,0.5,0.5,4,0.5
"""


@pytest.fixture
def schedule(tmp_path):
    path = tmp_path / "schedule.csv"
    path.write_text(FILE)
    return stn.schedules.Recorded(path)


@pytest.mark.parametrize(
    ("step", "rate", "count"),
    [
        (0, 0.125, 1),
        (2, 0.125, 1),
        (3, 0.125, 1),
        (4, 0.25, 2),
        (7, 0.25, 2),
        (8, 0.5, 4),
        (10**12, 0.5, 4),
    ],
)
def test_value_is_that_of_the_last_row_so_far(schedule, step, rate, count):
    assert float(schedule(step, RATE)) == rate
    assert float(schedule(step, COUNT)) == count


def test_large_steps_are_told_apart():
    first = 2**53 - 3
    schedule = stn.schedules.Recorded(
        {"step": [first, first + 1, first + 2], "rate": [0.25, 0.5, 0.75]}
    )
    for i, rate in enumerate((0.25, 0.5, 0.75)):
        assert float(schedule(first + i, RATE)) == rate


def test_hyperparameter_that_is_not_recorded_gets_a_sentence(schedule):
    other = stn.Float("other", 0.0, 1.0)
    message = r"the hyperparameter 'other'.*columns \[.*'rate'"
    with pytest.raises(ValueError, match=message):
        schedule.check([RATE, other])
    with pytest.raises(ValueError, match=message):
        schedule(0, other)


def test_columns_without_steps_get_a_sentence():
    with pytest.raises(ValueError, match="needs a column `step`"):
        stn.schedules.Recorded({"rate": [0.1, 0.2]})


@pytest.mark.parametrize("steps", [[2, 1], [0, 0.5]])
def test_steps_that_are_no_counts_get_a_sentence(steps):
    with pytest.raises(ValueError, match="integers in ascending order"):
        stn.schedules.Recorded({"step": steps, "rate": [0.1, 0.2]})


def test_column_of_another_length_gets_a_sentence():
    with pytest.raises(ValueError, match="as many numbers as `step`"):
        stn.schedules.Recorded({"step": [0, 1], "rate": [0.1]})
