class NotebookPicture:
    """A place below a notebook's cell that shows the latest picture.

    Raises:
        ImportError: If IPython is not installed.
        ValueError: If the program does not run in it.
    """

    def __init__(self):
        advice = (
            "Without a `path`, `SchedulePlot` shows its picture in a "
            "notebook, and this program does not run in one. Pass a `path` "
            "to write the picture to a file. Received: path=None"
        )
        try:
            from IPython import get_ipython
        except ImportError as error:
            raise ImportError(advice) from error
        if get_ipython() is None:
            raise ValueError(advice)
        self._handle = None

    def prepare(self):
        """Begins a new place, below the cell that runs now."""
        self._handle = None

    def show(self, figure):
        """Puts a figure in the place of the last.

        Args:
            figure: A `matplotlib.figure.Figure`.
        """
        from IPython.display import display

        if self._handle is None:
            self._handle = display(figure, display_id=True)
        else:
            self._handle.update(figure)
