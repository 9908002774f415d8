import json
import os
import pathlib
import tempfile
import zipfile
import zlib

import numpy as np

LATEST = "checkpoint.npz"
PREVIOUS = "checkpoint_previous.npz"
UNFINISHED = "unfinished_"
DAMAGED = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    zipfile.BadZipFile,
    zlib.error,
)


class CheckpointFolder:
    """Keeps the latest checkpoint of a training run, and the one before it.

    A checkpoint is one file, a zip with a checksum for each array. It is
    written under another name and renamed when it is complete, so that at any
    moment a process may be killed and a complete one is left.

    Args:
        path: String or path, the folder.
        keeps_previous: Boolean, whether to keep the checkpoint before the
            latest.
    """

    def __init__(self, path, keeps_previous=True):
        self.path = pathlib.Path(path)
        self._keeps_previous = keeps_previous

    def open(self):
        """Makes the folder, and removes what killed processes left.

        Raises:
            OSError: If files cannot be written there.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._remove_unfinished()
            with tempfile.TemporaryFile(dir=self.path):
                pass
        except OSError as error:
            raise OSError(
                "`backup_dir` cannot be written to, so that training could "
                "not be resumed. Give yourself permission to write there, or "
                f"name another folder. Received: {str(self.path)!r} ({error})"
            ) from error

    def open_and_read(self):
        """Does both, first of all."""
        self.open()
        return self.read()

    def write(self, arrays, metadata):
        """Writes a checkpoint and lets it take the latest one's place.

        Args:
            arrays: Dictionary of NumPy arrays.
            metadata: What can be written as JSON.

        Raises:
            OSError: If it cannot be written. The checkpoints that are there
                stay as they are.
        """
        text = np.frombuffer(json.dumps(metadata).encode(), "uint8")
        handle, name = tempfile.mkstemp(".npz", UNFINISHED, self.path)
        try:
            with os.fdopen(handle, "wb") as file:
                np.savez(file, metadata=text, **arrays)
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            os.remove(name)
            raise
        latest = self.path / LATEST
        if self._keeps_previous and latest.exists():
            os.replace(latest, self.path / PREVIOUS)
        os.replace(name, latest)
        self._sync()

    def read(self):
        """Reads the latest checkpoint that is undamaged.

        Returns:
            Triple of the arrays, the metadata, and a sentence about a damaged
            file that was passed over, or `None`; or `None` if the folder has
            no checkpoint.

        Raises:
            ValueError: If there are checkpoints and all are damaged.
        """
        damage = None
        for name in (LATEST, PREVIOUS):
            path = self.path / name
            if not path.exists():
                continue
            try:
                arrays, metadata = load(path)
            except DAMAGED as error:
                damage = f"{str(path)!r} ({error})"
                continue
            if damage:
                # Or it would take the place of this one at the next writing.
                os.remove(self.path / LATEST)
                damage = (
                    "The latest checkpoint is damaged. Training resumes from "
                    f"the one before it. Received: {damage}"
                )
            return arrays, metadata, damage
        if damage:
            raise ValueError(
                "The checkpoint is damaged and there is no other. To begin "
                "the training anew, delete the folder or name another as "
                f"`backup_dir`. Received: {damage}"
            )
        return None

    def delete(self):
        """Removes the checkpoints, and the folder if nothing else is in it."""
        for name in (LATEST, PREVIOUS):
            (self.path / name).unlink(missing_ok=True)
        self._remove_unfinished()
        if self.path.exists() and not any(self.path.iterdir()):
            self.path.rmdir()

    def _remove_unfinished(self):
        for path in self.path.glob(f"{UNFINISHED}*.npz"):
            path.unlink(missing_ok=True)

    def _sync(self):
        """Makes the new names outlast a loss of power."""
        if os.name == "nt":  # A folder cannot be opened there.
            return
        handle = os.open(self.path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def load(path):
    """Reads all of a checkpoint, and so checks all of it.

    Args:
        path: Path.

    Returns:
        Pair of the arrays and the metadata.

    Raises:
        One of `DAMAGED`.
    """
    with open(path, "rb") as file:
        arrays = dict(np.load(file, allow_pickle=False))
    return arrays, json.loads(arrays.pop("metadata").tobytes())
