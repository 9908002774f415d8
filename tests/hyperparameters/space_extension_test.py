import numpy as np
import pytest

import keras_stn as stn
from keras_stn.hyperparameters import HyperparameterSpace

OLD = stn.Float("old", 0.0, 1.0, default=0.5)
NEW = stn.Float("new", 1e-4, 1.0, 0.01, "log", scale=0.2, per_example=False)


def make_space():
    space = HyperparameterSpace([OLD])
    space.location.assign([1.5])
    space.raw_scale.assign([-1.0])
    return space


def test_old_ones_keep_their_values_and_new_ones_start_at_their_defaults():
    space = make_space()
    before = space.values()["old"]
    space.extend([NEW])
    assert space.names == ["old", "new"]
    assert space.values() == {
        "old": before,
        "new": pytest.approx(0.01, rel=1e-5),
    }
    np.testing.assert_allclose(space.raw_scale[0], -1.0)
    np.testing.assert_allclose(space.scale[1], 0.2, rtol=1e-5)
    sample = space.sample(4)
    assert len(np.unique(sample["old"])) == 4
    assert len(np.unique(sample["new"])) == 1


def test_only_the_new_variables_are_left():
    space = make_space()
    space.extend([NEW])
    assert [v.shape for v in space.weights] == [(2,), (2,)]
    space.set_weights([np.zeros(2), np.zeros(2)])
    assert space.values()["old"] == 0.5


def test_known_ones_add_nothing():
    space = make_space()
    location = space.location
    space.extend([OLD])
    assert space.location is location


def test_one_name_with_two_declarations_is_refused():
    with pytest.raises(ValueError, match="declared twice"):
        make_space().extend([stn.Float("old", 0.0, 2.0)])
