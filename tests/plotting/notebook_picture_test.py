import pytest
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

import keras_stn as stn
from keras_stn.plotting.notebook_picture import NotebookPicture
from tests.plotting.samples import make_columns


@pytest.fixture
def shell(tmp_path):
    """The shell behind a notebook, which keeps what it displays."""
    config = Config()
    config.HistoryManager.enabled = False
    shell = InteractiveShell.instance(config=config, ipython_dir=str(tmp_path))
    shell.display_pub = CapturingDisplayPublisher()
    yield shell
    InteractiveShell.clear_instance()


def test_the_picture_is_renewed_in_place(shell):
    picture = NotebookPicture()
    picture.prepare()
    for rows in (2, 3, 4):
        picture.show(stn.plot_schedule(make_columns(["dropout"], rows)))
    first, *others = shell.display_pub.outputs
    assert len(others) == 2
    assert not first["update"]
    for output in others:
        assert output["update"]
        assert output["transient"] == first["transient"]
    pictures = [o["data"]["image/png"] for o in shell.display_pub.outputs]
    assert len(set(pictures)) == 3


def test_a_second_training_has_a_picture_of_its_own(shell):
    picture = NotebookPicture()
    figure = stn.plot_schedule(make_columns(["dropout"], 2))
    for _ in range(2):
        picture.prepare()
        picture.show(figure)
    first, second = shell.display_pub.outputs
    assert not second["update"]
    assert first["transient"] != second["transient"]


def test_a_callback_without_a_path_shows_its_picture(shell):
    plot = stn.callbacks.SchedulePlot()
    assert isinstance(plot._picture, NotebookPicture)


def test_a_program_that_is_no_notebook_gets_a_sentence():
    with pytest.raises(ValueError, match="Pass a `path`.*path=None"):
        stn.callbacks.SchedulePlot()
