import copy

import keras
import numpy as np
import pytest

import keras_stn as stn
from keras_stn.hyperparameters import step
from tests.callbacks import replay_program
from tests.callbacks.replay_program import UPDATES
from tests.callbacks.replay_program import X
from tests.callbacks.replay_program import Y
from tests.callbacks.replay_program import fit
from tests.callbacks.replay_program import make_network
from tests.callbacks.replay_program import record
from tests.gates import open_gates
from tests.programs import run_program

STEPS = np.arange(UPDATES)
# The weight updates 2k and 2k + 1 use the row of the step 2k.
RECORDED = 0.1 + 0.05 * (STEPS - STEPS % 2)
# Of an ordinary network of hyper layers, on its own.
ORDINARY = pytest.mark.filterwarnings("ignore:Gradients do not exist")
MODES = {
    "eager": {"run_eagerly": True},
    "graph": {},
    "xla": {"jit_compile": True},
    "steps": {"steps_per_execution": 3},
    "steps_xla": {"steps_per_execution": 3, "jit_compile": True},
}


def weights(network):
    return [keras.ops.convert_to_numpy(w) for w in network.trainable_weights]


@pytest.mark.parametrize("mode", MODES)
def test_each_weight_update_uses_the_value_of_its_step(mode):
    network = make_network(**MODES[mode])
    fit(network, stn.schedules.Recorded(record()))
    np.testing.assert_allclose(
        network.get_layer("seen").seen(), RECORDED, rtol=1e-6
    )


@ORDINARY
@pytest.mark.parametrize("mode", ["graph", "xla"])
def test_one_graph_serves_all_steps(mode):
    network = make_network(**MODES[mode])
    fit(network)
    seen = network.get_layer("seen")
    ordinary, seen.traces = seen.traces, 0
    fit(network, stn.schedules.GaussianPerturbed(0.1, seed=0), epochs=2)
    assert 0 < seen.traces <= ordinary
    assert len(set(seen.seen()[UPDATES:])) == 2 * UPDATES


@pytest.fixture(scope="module")
def devices(tmp_path_factory):
    """What two devices used, in a process of their own."""
    folder = tmp_path_factory.mktemp("devices")
    run_program(replay_program, folder)
    with np.load(folder / "results.npz") as file:
        return dict(file)


def test_two_devices_use_the_values_of_one(devices):
    network = make_network()
    fit(network, stn.schedules.GaussianPerturbed(0.1, seed=4))
    expected = {
        "recorded": RECORDED,
        "gaussian": network.get_layer("seen").seen(),
    }
    for name, values in expected.items():
        for device in (0, 1):
            np.testing.assert_allclose(
                devices[f"{name}/{device}"], values, rtol=1e-5
            )
    assert devices["recorded/logs"] == pytest.approx([0.6])


def test_replay_uses_what_the_self_tuned_network_used(tmp_path):
    network = make_network()
    inner = keras.models.clone_model(
        network,
        clone_function=lambda layer: (
            type(layer).from_config(layer.get_config())
            if layer.name != "seen"
            else replay_program.Seen(layer.value, name="seen")
        ),
    )
    model = stn.SelfTuningModel(inner, groups=1)
    open_gates(model)
    # With hardly any perturbation the updates use the values themselves.
    model.compile(
        keras.optimizers.SGD(0.1),
        "mse",
        hyper_optimizer=keras.optimizers.Adam(0.2),
    )
    model.hyperparameters.raw_scale.assign([-30.0, -30.0])
    path = tmp_path / "schedule.csv"
    model.fit(
        X,
        Y,
        batch_size=8,
        shuffle=False,
        verbose=0,
        validation_data=(X[:16], Y[:16]),
        callbacks=[stn.callbacks.ScheduleLogger(path, freq="batch")],
    )
    used = inner.get_layer("seen").seen()
    assert len(set(used)) == UPDATES // 2
    fit(network, stn.schedules.Recorded(path))
    replayed = network.get_layer("seen").seen()
    assert len(replayed) == len(used) == UPDATES
    np.testing.assert_allclose(replayed, used, rtol=1e-5)


@ORDINARY
@pytest.mark.parametrize("mode", ["graph", "xla"])
def test_fixed_at_the_start_trains_as_without_a_schedule(mode):
    runs = []
    for schedule in (None, stn.schedules.Fixed()):
        network = make_network(**MODES[mode])
        with (
            pytest.warns(UserWarning, match="Gradients do not exist")
            if (schedule is None)
            else pytest.MonkeyPatch.context()
        ):
            history = fit(network, schedule, epochs=2)
        runs.append((weights(network), history["loss"]))
    np.testing.assert_array_equal(runs[0][1], runs[1][1])
    for plain, replayed in zip(runs[0][0], runs[1][0]):
        np.testing.assert_array_equal(plain, replayed)


def make_noisy(**starts):
    """A layer of every kind that acts in training."""

    def at(name, kind=stn.Float, low=0.0, high=0.9, **kwargs):
        return kind(name, low, high, starts.get(name, low), **kwargs)

    shared = {"per_example": False}
    return keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            stn.layers.RandomHue(at("hue")),
            stn.layers.RandomContrast(at("contrast")),
            stn.layers.RandomRotation(at("rotation")),
            stn.layers.RandomZoom(at("zoom")),
            stn.layers.RandomCutout(
                at("holes", stn.Int, 0, 3), at("length", stn.Int, 0, 4)
            ),
            stn.layers.GaussianNoise(at("noise")),
            stn.layers.GaussianDropout(at("gaussian")),
            stn.layers.SpatialDropout2D(at("maps")),
            keras.layers.Reshape((6, 18)),
            stn.layers.HyperLSTM(
                4,
                return_sequences=True,
                dropout=at("dropout"),
                recurrent_dropout=at("recurrent"),
                recurrent_dropconnect=at("dropconnect", **shared),
            ),
            stn.layers.VariationalDropout(at("variational")),
            stn.layers.ActivityRegularization(at("alpha")),
        ]
    )


def test_every_layer_follows_the_schedule():
    values = {
        **{"hue": 0.3, "contrast": 0.4, "rotation": 0.1, "zoom": 0.2},
        **{"holes": 2, "length": 3, "noise": 0.2, "gaussian": 0.3},
        **{"maps": 0.4, "dropout": 0.2, "recurrent": 0.3, "alpha": 0.5},
        **{"dropconnect": 0.4, "variational": 0.3},
    }
    images = np.random.default_rng(0).uniform(0, 255, (8, 6, 6, 3))
    results = []
    for starts, replayed in ((values, {}), ({}, values), ({}, {})):
        keras.utils.set_random_seed(0)
        network = make_noisy(**starts)
        declarations = stn.callbacks.replay_schedule.find_declarations(network)
        assert {h.name for h in declarations} == values.keys()
        schedule = stn.schedules.Fixed(replayed)
        with step.replayed(
            {h.name: schedule(0, h) for h in declarations if replayed}
        ):
            outputs = network(images, training=True)
        results.append((outputs, *network.losses))
    for expected, actual, other in zip(*results):
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)
        assert not np.allclose(other, expected, rtol=1e-2)


def test_rate_that_is_replayed_is_dropped():
    layer = stn.layers.Dropout(stn.Float("rate", 0.0, 0.9, default=0.01))
    # Without a weight there would be no weight updates.
    network = keras.Sequential(
        [keras.Input((1000,)), layer, keras.layers.PReLU()]
    )
    network.compile("sgd", "mae", metrics=[zeros])
    ones, labels = np.ones((64, 1000)), np.zeros((64, 1000))
    schedule = stn.schedules.Recorded({"step": [0, 1], "rate": [0.25, 0.75]})
    history = network.fit(
        ones,
        labels,
        batch_size=32,
        verbose=0,
        callbacks=[stn.callbacks.ReplaySchedule(schedule)],
    ).history
    assert history["zeros"][0] == pytest.approx(0.5, abs=0.02)


def zeros(y_true, y_pred):
    return keras.ops.mean(keras.ops.cast(y_pred == 0, "float32"), axis=-1)


def test_penalties_follow_the_schedule_in_training_and_validation():
    network = make_network(optimizer=keras.optimizers.SGD(0.0))
    schedule = stn.schedules.Recorded(
        {"step": [0, 5, 10], "rate": [0, 0, 0], "l2": [0.1, 0.3, 0.8]}
    )
    history = fit(network, schedule, validation_data=(X, Y))
    error = np.mean((network.predict(X, verbose=0) - Y) ** 2)
    square = np.sum(keras.ops.convert_to_numpy(network.layers[1].kernel) ** 2)
    assert history["loss"][0] == pytest.approx(error + 0.2 * square, rel=1e-4)
    assert history["val_loss"][0] == pytest.approx(
        error + 0.8 * square, rel=1e-4
    )
    # Then the starting value is back.
    assert network.evaluate(X, Y, verbose=0) == pytest.approx(
        error + 0.01 * square, rel=1e-4
    )


def test_loss_follows_the_schedule():
    smoothing = stn.Float("smoothing", 0.0, 0.5, default=0.1)
    loss = stn.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=smoothing
    )
    network = keras.Sequential([keras.Input((2,)), keras.layers.PReLU()])
    network.compile("sgd", loss)
    logits, labels = np.array([[2.0, 0.0]] * 8), np.array([[1.0, 0.0]] * 8)
    history = network.fit(
        logits,
        labels,
        verbose=0,
        callbacks=[
            stn.callbacks.ReplaySchedule(
                stn.schedules.Fixed({"smoothing": 0.4})
            )
        ],
    ).history
    wrong, right = np.log(1 + np.exp([2.0, -2.0]))
    assert history["loss"][0] == pytest.approx(
        0.8 * right + 0.2 * wrong, rel=1e-4
    )
    assert history["smoothing"] == pytest.approx([0.4])


@ORDINARY
def test_network_is_as_before_when_training_is_over():
    network = make_network()
    before = vars(network).keys() | {"history"}
    trainable = len(network.trainable_weights)
    fit(network, stn.schedules.Fixed({"rate": 0.5}))
    assert vars(network).keys() - before <= {"_eval_epoch_iterator"}
    assert network.train_function is network.test_function is None
    assert len(network.trainable_weights) == trainable == 8
    fit(network)
    seen = network.get_layer("seen").seen()
    np.testing.assert_array_equal(seen, [0.5] * UPDATES + [0.25] * UPDATES)


def test_training_goes_on_in_the_schedule():
    network = make_network()
    schedule = stn.schedules.SinusoidPerturbed({"rate": 0.1}, 40)
    for _ in range(2):
        history = fit(network, schedule)
    seen = network.get_layer("seen").seen()
    steps = np.arange(2 * UPDATES)
    expected = 0.25 + 0.1 * np.sin(2 * np.pi * steps / 40)
    np.testing.assert_allclose(seen, expected, rtol=1e-5)
    assert history["rate"] == pytest.approx([0.25], abs=1e-6)


def test_fit_after_an_error_replays_the_new_schedule_alone():
    network = make_network()

    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise KeyboardInterrupt

    first = stn.callbacks.ReplaySchedule(stn.schedules.Fixed({"rate": 0.5}))
    with pytest.raises(KeyboardInterrupt):
        network.fit(X, Y, verbose=0, callbacks=[first, Stop()])
    fit(network, stn.schedules.Fixed({"rate": 0.75}))
    seen = network.get_layer("seen").seen()
    np.testing.assert_array_equal(seen, [0.5] + [0.75] * UPDATES)
    assert "train_step" not in vars(network)
    assert len(network.trainable_weights) == 8


def test_overridden_train_step_is_kept():
    class Counting(keras.Model):
        calls = 0

        def train_step(self, data):
            type(self).calls += 1
            return super().train_step(data)

    inputs = keras.Input((4,))
    rate = stn.Float("rate", 0.0, 0.9, default=0.25)
    outputs = keras.layers.Dense(1)(stn.layers.Dropout(rate)(inputs))
    network = Counting(inputs, outputs)
    network.compile("sgd", "mse", run_eagerly=True)
    fit(network, stn.schedules.Fixed())
    assert Counting.calls == UPDATES


def test_callback_can_be_copied_before_training():
    callback = stn.callbacks.ReplaySchedule(stn.schedules.Fixed({"rate": 0.5}))
    network = make_network()
    network.fit(X, Y, verbose=0, callbacks=[copy.deepcopy(callback)])
    assert network.get_layer("seen").seen()[0] == 0.5


def test_self_tuning_model_gets_a_sentence():
    model = stn.SelfTuningModel(make_network())
    model.compile("sgd", "mse")
    callback = stn.callbacks.ReplaySchedule(stn.schedules.Fixed())
    with pytest.raises(ValueError, match="A `SelfTuningModel` follows no"):
        model.fit(X, Y, validation_split=0.5, callbacks=[callback], verbose=0)


def test_network_without_hyperparameters_gets_a_sentence():
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    network.compile("sgd", "mse")
    with pytest.raises(ValueError, match="has no hyperparameter that could"):
        fit(network, stn.schedules.Fixed())


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        (stn.schedules.Fixed({"dropout": 0.5}), r"Received: \['dropout'\]"),
        (
            stn.schedules.Recorded({"step": [0], "rate": [0.5]}),
            "the hyperparameter 'l2'",
        ),
    ],
)
def test_schedule_of_another_network_gets_a_sentence(schedule, message):
    network = make_network()
    with pytest.raises(ValueError, match=message):
        fit(network, schedule)
    assert "train_step" not in vars(network)


def test_what_is_no_schedule_gets_a_sentence():
    with pytest.raises(ValueError, match="`schedule` must be a schedule of"):
        stn.callbacks.ReplaySchedule(0.5)


def test_name_of_another_log_gets_a_sentence():
    rate = stn.Float("loss", 0.0, 0.9, default=0.25)
    network = keras.Sequential(
        [
            keras.Input((4,)),
            stn.layers.Dropout(rate),
            keras.layers.Dense(1),
        ]
    )
    network.compile("sgd", "mse")
    with pytest.raises(ValueError, match="has the name of another entry"):
        fit(network, stn.schedules.Fixed())
