"""Experiment trackers log hyperparameters through callbacks of their own."""

import pytest
import wandb
from wandb.integration.keras import WandbMetricsLogger

from tests.callbacks.tuned_model import CYCLES
from tests.callbacks.tuned_model import NAMES
from tests.callbacks.tuned_model import UPDATES
from tests.callbacks.tuned_model import fit
from tests.callbacks.tuned_model import make_model

LOGGED = ["loss", *NAMES, *(f"{name}_scale" for name in NAMES)]


def test_weights_and_biases_logs_every_hyperparameter(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    with wandb.init(mode="offline", dir=tmp_path) as run:
        callback = WandbMetricsLogger(log_freq="batch")
        history = fit(make_model(), [callback]).history
        logged = dict(run.summary)
    assert logged["batch/batch_step"] == 2 * CYCLES - 1
    for name in LOGGED:
        last = history[name][-1]
        assert logged[f"epoch/{name}"] == logged[f"batch/{name}"] == last
    assert logged["epoch/val_loss"] == history["val_loss"][-1]


@pytest.mark.slow
def test_mlflow_logs_every_hyperparameter(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    # Without it MLflow wants a database.
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    import mlflow
    from mlflow.keras import MlflowCallback

    mlflow.set_tracking_uri((tmp_path / "runs").as_uri())
    with mlflow.start_run() as run:
        callback = MlflowCallback(
            log_every_epoch=False, log_every_n_steps=UPDATES
        )
        history = fit(make_model(), [callback]).history
    mlflow.flush_async_logging()
    client = mlflow.MlflowClient()
    for name in LOGGED:
        points = client.get_metric_history(run.info.run_id, name)
        steps = [point.step for point in points]
        assert steps == [UPDATES * (i + 1) for i in range(2 * CYCLES)]
        assert points[-1].value == history[name][-1]
