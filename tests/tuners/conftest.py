import pytest


@pytest.fixture(autouse=True)
def no_pictures(request, monkeypatch):
    """Leaves out pictures of trials, a second each, but where they matter."""
    if request.module.__name__.endswith("search_results_test"):
        return
    tuned_trials = pytest.importorskip("keras_stn.tuners.tuned_trials")
    monkeypatch.setattr(tuned_trials, "draw", lambda record: None)
