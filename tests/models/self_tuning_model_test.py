import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import keras_stn as stn
from keras_stn.hypergradients import best_response
from keras_stn.hyperparameters import HyperparameterSpace
from keras_stn.hyperparameters.divisor import largest_divisor
from keras_stn.layers.hyper_layer import HyperLayer
from keras_stn.models.alternation import Cycle
from tests.gates import open_gates

CLASSES = 3


@keras.saving.register_keras_serializable(package="keras_stn_tests")
class Shift(HyperLayer):
    """Adds a hyperparameter to its inputs in training: noise without chance."""

    def __init__(self, shift, **kwargs):
        super().__init__(**kwargs)
        self.shift = self.declare(shift)

    def call(self, inputs, training=False, hyperparameters=None):
        if not training:
            return inputs
        return inputs + self.resolve(self.shift, inputs, hyperparameters)


def rate(name="dropout", default=0.1):
    return stn.Float(name, 0.0, 0.9, default=default)


def make_network(*extra):
    return keras.Sequential(
        [
            keras.Input((4,)),
            stn.layers.HyperDense(8, activation="relu"),
            stn.layers.Dropout(rate(), seed=1),
            *extra,
            stn.layers.HyperDense(CLASSES),
        ]
    )


def make_model(network=None, cls=stn.SelfTuningModel, compiled=None, **kwargs):
    model = cls(make_network() if network is None else network, **kwargs)
    model.compile(
        **{
            "optimizer": keras.optimizers.SGD(0.1, momentum=0.9),
            "hyper_optimizer": keras.optimizers.Adam(0.05),
            "loss": keras.losses.SparseCategoricalCrossentropy(True),
            "metrics": ["accuracy"],
            **(compiled or {}),
        }
    )
    return model


def make_data(size=50, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(size, 4)).astype("float32")
    return x, (np.abs(x[:, 0]) * 1.3).astype("int32") % CLASSES


def fit(model, data=None, **kwargs):
    data = make_data() if data is None else data
    kwargs.setdefault("validation_data", make_data(21, seed=1))
    return model.fit(*data, batch_size=8, verbose=0, **kwargs).history


def state(model):
    optimizers = (model.hyper_optimizer, model.scale_optimizer)
    return [
        *model.get_weights(),
        *(v.numpy() for o in optimizers for v in o.variables),
    ]


class Recorder(stn.SelfTuningModel):
    """Notes the batches it gets; runs eagerly."""

    def reset_notes(self):
        self.notes = []

    def weight_step(self, data):
        self.notes.append(("weights", data[0].numpy()))
        return super().weight_step(data)

    def tuning_step(self, data):
        self.notes.append(("tuning", data[0].numpy()))
        return super().tuning_step(data)


def record(x, y=None, cls=Recorder, model_arguments=None, **kwargs):
    model = make_model(
        cls=cls, compiled={"run_eagerly": True}, **(model_arguments or {})
    )
    model.notes = []
    kwargs.setdefault("validation_data", make_data(21, seed=1))
    model.fit(x, y, verbose=0, **kwargs)
    return model.notes


def rows(notes, kind):
    batches = [batch for name, batch in notes if name == kind]
    return np.concatenate(batches)


# The alternation.


def test_two_weight_updates_then_one_tuning_update():
    notes = record(*make_data(48), batch_size=8)
    kinds = [kind for kind, _ in notes]
    assert kinds == ["weights", "weights", "tuning"] * 3


def test_train_steps_and_tuning_steps_set_the_cycle():
    notes = record(
        *make_data(24),
        batch_size=8,
        model_arguments={"train_steps": 3, "tuning_steps": 2},
    )
    assert [kind for kind, _ in notes] == ["weights"] * 3 + ["tuning"] * 2


@pytest.mark.parametrize("size", [5, 8, 30, 50])
def test_an_epoch_sees_every_training_example_once(size):
    x, y = make_data(size)
    notes = record(x, y, batch_size=8, epochs=2)
    seen = rows(notes, "weights")
    assert len(seen) == 2 * size
    for epoch in (seen[:size], seen[size:]):
        np.testing.assert_array_equal(
            np.sort(epoch, axis=0), np.sort(x, axis=0)
        )


def test_data_smaller_than_a_batch_train_and_tune():
    notes = record(
        *make_data(5), batch_size=32, validation_data=make_data(3, seed=1)
    )
    assert [(kind, len(x)) for kind, x in notes] == [
        ("weights", 5),
        ("tuning", 3),
    ]


def test_tuning_batches_are_full_and_use_every_example_equally():
    x_val, y_val = make_data(20, seed=1)
    notes = record(
        *make_data(80),
        batch_size=8,
        epochs=2,
        validation_data=(x_val, y_val),
    )
    batches = [x for kind, x in notes if kind == "tuning"]
    assert {len(batch) for batch in batches} == {8}
    seen = np.concatenate(batches)
    assert len(seen) == 80
    np.testing.assert_array_equal(
        np.sort(seen, axis=0), np.sort(np.repeat(x_val, 4, axis=0), axis=0)
    )


def test_steps_per_epoch_counts_training_batches():
    data = tf.data.Dataset.from_tensor_slices(make_data(64)).batch(8)
    notes = record(data.repeat(), steps_per_epoch=5, epochs=2)
    kinds = [kind for kind, _ in notes]
    assert kinds.count("weights") == 10
    assert kinds.count("tuning") == 6


def test_warmup_trains_weights_alone():
    notes = record(*make_data(16), batch_size=8, epochs=3, warmup_epochs=2)
    kinds = [kind for kind, _ in notes]
    assert kinds == ["weights"] * 6 + ["tuning"]


def test_warmup_ends_in_the_compiled_step_too():
    history = fit(make_model(), epochs=3, warmup_epochs=2)
    assert np.isnan(history["tuning_loss"][:2]).all()
    assert np.isfinite(history["tuning_loss"][2])
    assert history["dropout"][0] == history["dropout"][1]
    assert history["dropout"][1] != history["dropout"][2]


def test_initial_epoch_counts_for_the_warmup():
    history = fit(make_model(), epochs=3, initial_epoch=2, warmup_epochs=2)
    assert len(history["loss"]) == 1
    assert np.isfinite(history["tuning_loss"][0])


def test_tuning_data_override_validation_data():
    x, y = make_data(8, seed=2)
    notes = record(*make_data(16), batch_size=8, tuning_data=(x, y))
    tuned = rows(notes, "tuning")
    np.testing.assert_array_equal(np.sort(tuned, 0), np.sort(x, 0))


# The kinds of data.


class Batches(keras.utils.PyDataset):
    def __init__(self, data, batch_size=8):
        super().__init__()
        self.data, self.batch_size = data, batch_size

    def __len__(self):
        return -(-len(self.data[0]) // self.batch_size)

    def __getitem__(self, i):
        span = slice(i * self.batch_size, (i + 1) * self.batch_size)
        return tuple(part[span] for part in self.data)


def endless(data, batch_size=8):
    while True:
        for i in range(0, len(data[0]) - batch_size + 1, batch_size):
            yield tuple(part[i : i + batch_size] for part in data)


def as_dataset(data):
    return tf.data.Dataset.from_tensor_slices(data).batch(8)


@pytest.mark.parametrize("kind", [as_dataset, Batches])
def test_batched_data_sets_train_and_tune(kind):
    model = make_model()
    history = model.fit(
        kind(make_data()),
        validation_data=kind(make_data(21, seed=1)),
        epochs=2,
        verbose=0,
    ).history
    assert history["dropout"][0] != history["dropout"][1]
    assert np.isfinite(history["val_loss"]).all()


def test_generators_train_and_tune():
    model = make_model()
    history = model.fit(
        endless(make_data()),
        tuning_data=endless(make_data(21, seed=1)),
        steps_per_epoch=6,
        epochs=2,
        verbose=0,
    ).history
    assert history["dropout"][0] != history["dropout"][1]


def test_a_data_set_of_unknown_length_trains():
    data = as_dataset(make_data()).filter(lambda x, y: True)
    model = make_model()
    with warnings.catch_warnings():
        # Keras says so of every such data set.
        warnings.filterwarnings("ignore", "Your input ran out of data")
        history = model.fit(
            data,
            validation_data=make_data(21, seed=1),
            epochs=2,
            verbose=0,
        ).history
    assert len(history["loss"]) == 2
    assert model.optimizer.iterations == 14


def test_validation_split_tunes_on_the_last_examples():
    x, y = make_data(40)
    notes = record(
        x, y, batch_size=8, validation_split=0.2, validation_data=None
    )
    tuned = rows(notes, "tuning")[:8]
    np.testing.assert_array_equal(np.sort(tuned, 0), np.sort(x[-8:], 0))
    assert len(rows(notes, "weights")) == 32


def test_sample_and_class_weights_reach_the_weight_update():
    zeros = np.zeros(len(make_data()[0]), "float32")
    assert trained(make_model())
    assert not trained(make_model(), sample_weight=zeros)
    no_class = dict.fromkeys(range(CLASSES), 0.0)
    assert not trained(make_model(), class_weight=no_class)


def trained(model, **kwargs):
    """Whether `fit` with these arguments changes a trainable weight."""
    before = [w.numpy() for w in model.trainable_weights]
    fit(model, **kwargs)
    return not all(
        np.array_equal(old, new.numpy())
        for old, new in zip(before, model.trainable_weights)
    )


def test_sample_weights_of_validation_data_reach_the_tuning_update():
    x, y = make_data(21, seed=1)
    model = make_model(entropy_weight=0.0)
    history = fit(model, validation_data=(x, y, np.zeros(21, "float32")))
    assert history["dropout"][0] == pytest.approx(0.1)


def test_several_inputs_and_outputs_in_dictionaries():
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    hidden = keras.layers.Concatenate()([a, b])
    hidden = stn.layers.Dropout(rate())(hidden)
    outputs = {
        "label": stn.layers.HyperDense(CLASSES, name="label")(hidden),
        "value": stn.layers.HyperDense(1, name="value")(hidden),
    }
    model = stn.SelfTuningModel(keras.Model({"a": a, "b": b}, outputs))
    model.compile(
        "adam",
        loss={
            "label": keras.losses.SparseCategoricalCrossentropy(True),
            "value": "mse",
        },
    )
    x, y = make_data()
    inputs = {"a": x, "b": x}
    labels = {"label": y, "value": x[:, :1] * 1000.0}
    far = {"label": y[:8], "value": x[:8, :1] * 1e6}
    history = model.fit(
        inputs,
        labels,
        batch_size=8,
        tuning_data=({k: v[:8] for k, v in inputs.items()}, far),
        verbose=0,
    ).history
    # Were the tuning batches counted, the mean would be far larger.
    assert history["value_loss"][0] < 1e8
    assert history["tuning_loss"][0] > 1e8
    assert set(model.predict(inputs, verbose=0)) == {"label", "value"}


def test_a_subclassed_network_is_built_by_fit():
    class Network(keras.Model):
        def __init__(self):
            super().__init__()
            self.dropout = stn.layers.Dropout(rate())
            self.dense = stn.layers.HyperDense(CLASSES)

        def call(self, inputs):
            return self.dense(self.dropout(inputs))

    model = make_model(Network())
    assert model.hyperparameters is None
    history = fit(model, epochs=2)
    assert history["dropout"][0] != history["dropout"][1]
    assert model.network.dense.kernel_gate.shape == (1, CLASSES)


# What each update changes.


def one_batch(size=8):
    return tuple(ops.convert_to_tensor(part) for part in make_data(size))


def test_a_weight_step_leaves_hyperparameters_alone():
    model = make_model()
    model.reset_metrics()
    location = model.hyperparameters.location.numpy()
    raw_scale = model.hyperparameters.raw_scale.numpy()
    before = [w.numpy() for w in model.trainable_weights]
    for _ in range(2):  # The first gives the bias gates something to scale.
        model.weight_step(one_batch())
    np.testing.assert_array_equal(location, model.hyperparameters.location)
    np.testing.assert_array_equal(raw_scale, model.hyperparameters.raw_scale)
    changed = [
        not np.array_equal(old, new.numpy())
        for old, new in zip(before, model.trainable_weights)
    ]
    assert all(changed)


def test_gradients_do_not_reach_the_hyperparameters_in_training():
    model = make_model()
    x, y = one_batch()
    with tf.GradientTape() as tape:
        loss = model.compute_loss(y=y, y_pred=model(x, training=True))
    watched = {id(v) for v in tape.watched_variables()}
    assert id(model.hyperparameters.location.value) not in watched
    assert id(model.hyperparameters.raw_scale.value) not in watched
    assert np.isfinite(loss)


def test_a_tuning_step_leaves_weights_and_statistics_alone():
    model = make_model(make_network(keras.layers.BatchNormalization()))
    open_gates(model)
    before = model.network.get_weights()
    location = model.hyperparameters.location.numpy()
    model.tuning_step(one_batch())
    for old, new in zip(before, model.network.get_weights()):
        np.testing.assert_array_equal(old, new)
    assert (model.hyperparameters.location.numpy() != location).all()


def test_fixed_scales_are_neither_tuned_nor_used_in_tuning():
    model = make_model(tune_scales=False)
    raw_scale = model.hyperparameters.raw_scale.numpy()
    x, y = one_batch()
    model.tuning_step((x, y))
    np.testing.assert_array_equal(raw_scale, model.hyperparameters.raw_scale)
    loss = model.tuning_logs()["tuning_loss"]
    model = make_model(model.network, tune_scales=False)
    expected = model.compute_loss(y=y, y_pred=model(x, training=False))
    np.testing.assert_allclose(loss, expected, rtol=1e-6)


def test_entropy_alone_widens_the_scales():
    model = make_model(entropy_weight=1e6)
    before = model.hyperparameters.scale.numpy()
    model.tuning_step(one_batch())
    assert (model.hyperparameters.scale.numpy() > before).all()


def test_added_losses_count_in_training_and_not_in_tuning():
    network = make_network(keras.layers.ActivityRegularization(l2=1e3))
    network.layers[0].kernel_regularizer = keras.regularizers.L2(1e3)
    model = make_model(network, tune_scales=False)
    x, y = one_batch()
    model.reset_metrics()
    training = model.weight_step((x, y))["loss"]
    y_pred = model(x, training=False)
    expected = model._compile_loss(y, y_pred)
    model.tuning_step((x, y))
    assert training > 100
    np.testing.assert_allclose(
        model.tuning_logs()["tuning_loss"], expected, rtol=1e-5
    )
    # Evaluation means what it means in Keras: with fixed penalties.
    loss = model.evaluate(x, y, verbose=0, return_dict=True)["loss"]
    assert loss > 100


def test_the_hypergradient_matches_finite_differences():
    # Of a centred response only the derivative depends on λ.
    model = make_model(preset="paper")
    open_gates(model)
    space = model.hyperparameters
    x, y = one_batch()
    noise = np.random.default_rng(1).normal(size=(4, 1)).astype("float32")
    space.draw_noise = lambda groups: ops.convert_to_tensor(noise)

    def loss_function(sample):
        y_pred = model(x, training=False, hyperparameters=sample)
        return model.compute_loss(y=y, y_pred=y_pred)

    def evaluate():
        return float(best_response(space, loss_function, 4, True, 0.3)[1])

    gradients = best_response(space, loss_function, 4, True, 0.3)[2]
    for variable, gradient in zip((space.location, space.raw_scale), gradients):
        start = variable.numpy()
        step = 1e-2
        variable.assign(start + step)
        upper = evaluate()
        variable.assign(start - step)
        lower = evaluate()
        variable.assign(start)
        assert abs(gradient[0]) > 1e-3
        np.testing.assert_allclose(
            gradient[0], (upper - lower) / (2 * step), rtol=2e-2
        )


# Ways of running.


def final_state(preset="auto", steps_per_execution=1, **compiled):
    keras.utils.set_random_seed(7)
    shift = Shift(stn.Float("shift", -1.0, 1.0, default=0.3))
    network = keras.Sequential(
        [
            keras.Input((4,)),
            shift,
            stn.layers.HyperDense(8, activation="tanh"),
            stn.layers.HyperDense(CLASSES),
        ]
    )
    model = make_model(
        network,
        preset=preset,
        compiled={"steps_per_execution": steps_per_execution, **compiled},
    )
    history = fit(model, epochs=2, shuffle=False)
    return state(model), history


@pytest.mark.parametrize("preset", ["auto", "paper"])
def test_eager_graph_and_xla_agree(monkeypatch, preset):
    # XLA draws other numbers from the same seed.
    noise = np.random.default_rng(0).normal(size=(8, 1)).astype("float32")
    monkeypatch.setattr(
        HyperparameterSpace,
        "draw_noise",
        lambda space, groups: ops.convert_to_tensor(noise[:groups]),
    )
    graph, history = final_state(preset, jit_compile=False)
    for arguments in ({"run_eagerly": True}, {"jit_compile": True}):
        other, _ = final_state(preset, **arguments)
        for a, b in zip(graph, other):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    assert history["shift"][0] != history["shift"][1]


def test_several_steps_an_execution_change_nothing():
    one, _ = final_state()
    several, history = final_state(steps_per_execution=3)
    for a, b in zip(one, several):
        np.testing.assert_array_equal(a, b)
    assert len(history["loss"]) == 2


def test_mixed_bfloat16_keeps_hyperparameters_in_float32():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = make_model()
        history = fit(model, epochs=2)
    finally:
        keras.config.set_dtype_policy("float32")
    assert model.network.layers[0].compute_dtype == "bfloat16"
    assert model.hyperparameters.location.dtype == "float32"
    assert model.hyperparameters.scale.dtype == tf.float32
    assert history["dropout"][0] != history["dropout"][1]


@pytest.mark.parametrize(
    "compiled",
    [
        {"optimizer": "adam", "hyper_optimizer": "rmsprop"},
        {
            "optimizer": keras.optimizers.AdamW(
                keras.optimizers.schedules.CosineDecay(1e-2, 10)
            ),
            "hyper_optimizer": keras.optimizers.SGD(0.1, clipnorm=1.0),
            "scale_optimizer": keras.optimizers.Nadam(1e-2, clipvalue=0.5),
        },
        {"optimizer": "lion", "hyper_optimizer": "adagrad"},
    ],
    ids=["names", "schedules and clipping", "others"],
)
def test_any_keras_optimizer_works(compiled):
    model = make_model(compiled=compiled)
    before = model.hyperparameters.location.numpy()
    fit(model)
    assert (model.hyperparameters.location.numpy() != before).all()


def test_train_on_batch_updates_weights_alone():
    model = make_model()
    location = model.hyperparameters.location.numpy()
    logs = model.train_on_batch(*make_data(8), return_dict=True)
    assert logs["loss"] > 0
    assert model.optimizer.iterations == 1
    np.testing.assert_array_equal(location, model.hyperparameters.location)


def test_a_batch_of_unknown_size_uses_a_divisor():
    model = make_model(groups=8)

    @tf.function(input_signature=[tf.TensorSpec((None, 4))])
    def groups(x):
        return model.num_groups(x)

    @tf.function(input_signature=[tf.TensorSpec((None, 4))])
    def call(x):
        return model(x, training=True)

    for size, expected in ((16, 8), (12, 6), (7, 7), (11, 1), (3, 3)):
        x = np.ones((size, 4), "float32")
        assert groups(x) == expected == largest_divisor(size, 8)
        assert call(x).shape == (size, CLASSES)


@pytest.mark.parametrize("preset", ["auto", "paper"])
def test_the_model_is_a_layer_of_another_model(preset):
    model = make_model(preset=preset)
    outer = keras.Sequential([keras.Input((4,)), model, keras.layers.Softmax()])
    x, _ = make_data()
    expected = ops.softmax(model.predict(x, verbose=0))
    np.testing.assert_allclose(outer.predict(x, verbose=0), expected, rtol=1e-5)
    model.hyperparameters.location.assign([5.0])
    hidden, _, head = model.network.layers
    hidden.kernel_gate.assign(np.ones((1, 8), "float32"))
    if preset == "auto":
        head.bias.assign([1.0, 0.0, -1.0])
    changed = ops.softmax(model.predict(x, verbose=0))
    np.testing.assert_allclose(outer.predict(x, verbose=0), changed, rtol=1e-5)
    assert np.abs(changed - expected).max() > 1e-2


# Overriding.


def test_compute_loss_can_be_overridden():
    class Doubled(stn.SelfTuningModel):
        def compute_loss(self, x, y, y_pred, sample_weight, training=True):
            return 2 * super().compute_loss(
                x, y, y_pred, sample_weight, training
            )

    x, y = one_batch()
    plain, doubled = (
        make_model(make_network(), cls=cls, tune_scales=False)
        for cls in (stn.SelfTuningModel, Doubled)
    )
    doubled.set_weights(plain.get_weights())
    for model in (plain, doubled):
        model.tuning_step((x, y))
    np.testing.assert_allclose(
        doubled.tuning_logs()["tuning_loss"],
        2 * plain.tuning_logs()["tuning_loss"],
        rtol=1e-6,
    )


def test_train_step_can_be_overridden():
    class TuneFirst(stn.SelfTuningModel):
        def train_step(self, data):
            assert isinstance(data, Cycle)
            for batch in data.tuning:
                self.tuning_step(batch)
            return super().train_step(Cycle(data.training, ()))

    history = fit(make_model(cls=TuneFirst), epochs=2)
    assert history["dropout"][0] != history["dropout"][1]


# Logs.


def test_logs_hold_every_hyperparameter_and_scale():
    model = make_model(make_network(stn.layers.Dropout(rate("second"))))
    history = fit(model, epochs=2)
    assert set(history) == {
        "loss",
        "accuracy",
        "val_loss",
        "val_accuracy",
        "tuning_loss",
        "skipped_tuning_steps",
        "dropout",
        "dropout_scale",
        "second",
        "second_scale",
    }
    assert {len(values) for values in history.values()} == {2}
    values = model.hyperparameter_values()
    assert list(values) == ["dropout", "second"]
    assert values["second"] == pytest.approx(history["second"][-1])


def test_evaluate_reports_the_loss_and_metrics_alone():
    model = make_model()
    fit(model)
    assert set(model.evaluate(*make_data(), verbose=0, return_dict=True)) == {
        "loss",
        "accuracy",
    }


def test_the_loss_of_an_epoch_is_the_mean_over_its_training_batches():
    model = make_model(
        make_network(), compiled={"optimizer": keras.optimizers.SGD(0.0)}
    )
    model.network.layers[1].rate = 0.0
    for layer in (model.network.layers[0], model.network.layers[2]):
        layer.kernel_gate.assign(np.zeros_like(layer.kernel_gate))
        layer.bias_gate.assign(np.zeros_like(layer.bias_gate))
    data = make_data(44)
    history = fit(model, data)
    expected = model.evaluate(*data, verbose=0, return_dict=True)
    assert history["loss"][0] == pytest.approx(expected["loss"], rel=1e-4)
    assert history["accuracy"][0] == pytest.approx(expected["accuracy"])


def test_summary_shows_name_range_value_and_scale():
    model = make_model(
        make_network(
            stn.layers.GaussianNoise(
                stn.Float("noise", 1e-3, 1.0, default=0.1, sampling="log")
            )
        )
    )
    lines = []
    model.summary(print_fn=lambda text, **kwargs: lines.append(text))
    text = "\n".join(lines)
    assert "HyperparameterSpace" in text
    table = lines[-1].splitlines()
    assert table[1].split() == ["dropout", "0", "to", "0.9", "0.1", "1.5"]
    assert "0.001 to 1, log" in table[2]


# Safety.


def test_a_tuning_step_that_is_not_finite_changes_nothing():
    model = make_model()
    fit(model)
    before = state(model)
    x, y = make_data(8)
    model.reset_metrics()
    model.tuning_step((ops.convert_to_tensor(x * np.nan), y))
    for old, new in zip(before, state(model)):
        np.testing.assert_array_equal(old, new)
    logs = model.tuning_logs()
    assert logs["skipped_tuning_steps"] == 1
    assert np.isnan(logs["tuning_loss"])
    model.tuning_step((ops.convert_to_tensor(x), y))
    assert np.isfinite(model.tuning_logs()["tuning_loss"])
    assert any(
        not np.array_equal(old, new) for old, new in zip(before, state(model))
    )


def test_skipped_steps_are_counted_and_warned_about_once():
    x_val, y_val = make_data(16, seed=1)
    x_val[:] = np.inf
    model = make_model()
    with pytest.warns(UserWarning, match="4 tuning steps") as caught:
        history = fit(model, tuning_data=(x_val, y_val), epochs=3)
    assert len(caught) == 1
    assert history["skipped_tuning_steps"] == [4.0, 4.0, 4.0]
    assert history["dropout"] == pytest.approx([0.1] * 3)


@pytest.mark.parametrize("direction", [-1.0, 1.0])
def test_hyperparameters_stop_at_the_ends_of_their_range(direction):
    model = make_model(
        compiled={"hyper_optimizer": keras.optimizers.SGD(1e6)},
        tune_scales=False,
    )
    model.hyperparameters.location.assign([0.0])
    for layer in (model.network.layers[0], model.network.layers[2]):
        layer.kernel_gate.assign(direction * np.ones_like(layer.kernel_gate))
    for _ in range(3):
        model.tuning_step(one_batch())
    assert abs(model.hyperparameters.location.numpy()[0]) == 8.0
    value = model.hyperparameter_values()["dropout"]
    assert 0.0 < value < 0.9


# Errors, each a sentence.


def test_a_network_without_hyperparameters_is_refused():
    network = keras.Sequential([keras.Input((4,)), stn.layers.HyperDense(2)])
    with pytest.raises(ValueError, match="no hyperparameter to tune"):
        stn.SelfTuningModel(network)


def test_a_network_without_hyper_layers_is_refused():
    network = keras.Sequential(
        [keras.Input((4,)), stn.layers.Dropout(rate()), keras.layers.Dense(2)]
    )
    with pytest.raises(ValueError, match="no hyper layer"):
        stn.SelfTuningModel(network)


def test_one_name_with_two_declarations_is_refused():
    network = make_network(stn.layers.Dropout(rate(default=0.5)))
    with pytest.raises(ValueError, match="'dropout' is declared twice"):
        stn.SelfTuningModel(network)


def test_one_name_declared_alike_is_shared():
    model = make_model(make_network(stn.layers.Dropout(rate())))
    assert model.hyperparameters.names == ["dropout"]


@pytest.mark.parametrize(
    "name", ["loss", "accuracy", "val_loss", "tuning_loss", "learning_rate"]
)
def test_a_name_of_another_log_is_refused(name):
    model = make_model(make_network(stn.layers.Dropout(rate(name))))
    with pytest.raises(ValueError, match=f"'{name}' has the name of another"):
        fit(model)


def test_fit_without_validation_data_is_refused():
    with pytest.raises(ValueError, match="no data to tune"):
        fit(make_model(), validation_data=None)


def test_fit_before_compile_is_refused():
    model = stn.SelfTuningModel(make_network())
    with pytest.raises(ValueError, match="must call `compile"):
        fit(model)


def test_empty_data_are_refused():
    with pytest.raises(ValueError, match="`x` is empty"):
        fit(make_model(), data=make_data(0))
    with pytest.raises(ValueError, match="`validation_data` is empty"):
        fit(make_model(), validation_data=make_data(0))
    with pytest.raises(ValueError, match="`tuning_data` is empty"):
        fit(make_model(), tuning_data=make_data(0))
    with pytest.raises(ValueError, match="`x` hold no batch"):
        make_model().fit(
            as_dataset(make_data(0)),
            validation_data=make_data(),
            verbose=0,
        )
    with pytest.raises(ValueError, match="tuning data ran out"):
        fit(make_model(), tuning_data=as_dataset(make_data(0)))


def test_x_and_y_of_different_lengths_are_refused():
    x, y = make_data()
    with pytest.raises(ValueError, match="same number of samples"):
        fit(make_model(), data=(x, y[:-1]))
    with pytest.raises(ValueError, match="same number of samples"):
        fit(make_model(), validation_data=(x, y[:-1]))


def test_labels_of_the_wrong_shape_are_refused():
    x, _ = make_data()
    with pytest.raises(ValueError, match="cannot take these data.*shapes"):
        fit(make_model(), data=(x, np.zeros((50, 2, 5), "int32")))


def test_a_generator_as_validation_data_is_refused():
    with pytest.raises(ValueError, match="read only once"):
        fit(make_model(), validation_data=endless(make_data()))


@pytest.mark.parametrize(
    "argument",
    [
        {"train_steps": 0},
        {"tuning_steps": 1.5},
        {"groups": 0},
        {"entropy_weight": -1.0},
        {"entropy_weight": float("nan")},
    ],
)
def test_arguments_out_of_range_are_refused(argument):
    (name,) = argument
    with pytest.raises(ValueError, match=f"`{name}` must"):
        stn.SelfTuningModel(make_network(), **argument)


def test_a_network_that_is_no_keras_model_is_refused():
    with pytest.raises(ValueError, match="`network` must be a `keras.Model`"):
        stn.SelfTuningModel(keras.layers.Dense(2))
    with pytest.raises(ValueError, match="is a `SelfTuningModel` already"):
        stn.SelfTuningModel(stn.SelfTuningModel(make_network()))


def test_one_optimizer_for_two_roles_is_refused():
    adam = keras.optimizers.Adam()
    with pytest.raises(ValueError, match="must be different objects"):
        make_model(compiled={"optimizer": adam, "hyper_optimizer": adam})


def test_bad_warmup_is_refused():
    with pytest.raises(ValueError, match="`warmup_epochs` must be"):
        fit(make_model(), warmup_epochs=-1)


def test_a_network_of_another_model_with_more_hyperparameters_is_refused():
    network = make_network()
    stn.SelfTuningModel(network)
    larger = keras.Sequential([network, stn.layers.Dropout(rate("second"))])
    with pytest.raises(ValueError, match="Clone the network first"):
        stn.SelfTuningModel(larger)
