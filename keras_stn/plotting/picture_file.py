import os
import pathlib
import warnings

SUFFIXES = (".png", ".svg", ".pdf")


class PictureFile:
    """A file that shows the latest picture, and never half of one.

    Args:
        path: String or `PathLike`, a file that ends in `.png`, `.svg` or
            `.pdf`.

    Raises:
        ValueError: If it ends in something else, or is a folder.
    """

    def __init__(self, path):
        self.path = pathlib.Path(path)
        if self.path.suffix not in SUFFIXES or self.path.is_dir():
            raise ValueError(
                f"`path` must be a file that ends in one of {SUFFIXES}. "
                f"Received: path={str(self.path)!r}"
            )
        self._has_warned = False

    def prepare(self):
        """Makes sure that there is a folder to write to.

        Raises:
            OSError: If there is none.
        """
        temporary = self._temporary()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            temporary.touch()
            temporary.unlink()
        except OSError as error:
            raise OSError(
                error.errno,
                "The picture of the schedule cannot be written. Give the "
                "callback a path in a folder that exists or can be made. "
                f"Received: path={str(self.path)!r}. The reason: "
                f"{error.strerror}",
            ) from error

    def show(self, figure):
        """Puts a figure in the place of the last, or warns once that it can't.

        Args:
            figure: A `matplotlib.figure.Figure`.
        """
        temporary = self._temporary()
        try:
            figure.savefig(temporary, format=self.path.suffix[1:])
            os.replace(temporary, self.path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            if not self._has_warned:
                self._has_warned = True
                warnings.warn(
                    "The picture of the schedule could not be written; "
                    "training goes on. Make space if the disk is full. "
                    f"Received: path={str(self.path)!r}. The reason: {error}",
                    stacklevel=2,
                )

    def _temporary(self):
        # In the same folder, so that it can take the picture's place at once.
        return self.path.with_name(f".{self.path.name}.{os.getpid()}")
