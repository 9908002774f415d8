import keras
import numpy as np

import keras_stn as stn
from keras_stn.callbacks.progress_logger import to_table

NAMES = [f"dropout_{i}" for i in range(15)]


def fit(capsys, **kwargs):
    layers = [
        stn.layers.Dropout(stn.Float(name, 0.0, 0.9, default=0.05))
        for name in NAMES
    ]
    model = stn.SelfTuningModel(
        keras.Sequential([keras.Input((4,)), *layers, stn.layers.HyperDense(1)])
    )
    model.compile("sgd", loss="mse")
    x, y = np.ones((16, 4)), np.ones((16, 1))
    model.fit(x, y, validation_split=0.5, **kwargs)
    return capsys.readouterr().out


def test_a_row_an_epoch_holds_losses_and_rows_below_every_value(
    capsys, monkeypatch
):
    monkeypatch.setenv("COLUMNS", "80")
    lines = fit(capsys, epochs=2, verbose=2).splitlines()
    bar, table = lines[1], lines[2 : lines.index("Epoch 2/2")]
    assert "tuning_loss" in bar
    assert "val_loss" in bar
    assert "dropout" not in bar
    assert "skipped" not in bar
    assert max(map(len, table)) <= 80
    cells = " ".join(table).split()
    assert cells[::2] == [f"{name}:" for name in NAMES]
    assert all(0.04 < float(value) < 0.06 for value in cells[1::2])


def test_the_warmup_shows_no_tuning_loss(capsys):
    text = fit(capsys, epochs=2, verbose=2, warmup_epochs=1)
    first, second = text.split("Epoch 2/2")
    assert "tuning_loss" not in first
    assert "tuning_loss" in second


def test_verbose_0_prints_nothing(capsys):
    assert fit(capsys, verbose=0) == ""


def test_a_progress_bar_of_the_user_replaces_ours(capsys):
    text = fit(capsys, verbose=2, callbacks=[keras.callbacks.ProgbarLogger()])
    assert "dropout_3_scale" in text


def test_a_table_has_equal_columns_within_the_width():
    table = to_table(["a: 1", "bb: 22", "c: 3"], width=18)
    assert table == "  a: 1    bb: 22\n  c: 3"
    assert to_table(["wide"], width=2) == "  wide"
