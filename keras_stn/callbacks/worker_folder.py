import contextlib
import os
import pathlib

import numpy as np

from keras_stn import backend
from keras_stn.callbacks.checkpoint_folder import DAMAGED
from keras_stn.callbacks.checkpoint_folder import LATEST
from keras_stn.callbacks.checkpoint_folder import PREVIOUS
from keras_stn.callbacks.checkpoint_folder import CheckpointFolder
from keras_stn.callbacks.checkpoint_folder import load

NOWHERE = (-1, -1)
END_OF_EPOCH = 2**62


class WorkerFolder(CheckpointFolder):
    """The checkpoints of one of several processes that train together.

    Each has a folder of its own inside of a common one. A process may be
    killed when it has saved a checkpoint and another one has not yet, but
    not when it is two ahead, since they take each step together. So all keep
    two checkpoints, and resume from the latest that all have.

    Args:
        path: String or path, the common folder.
        strategy: The `tf.distribute.Strategy` that they train under.
    """

    def __init__(self, path, strategy):
        index, _ = backend.worker(strategy)
        super().__init__(pathlib.Path(path) / f"worker_{index}")
        self._strategy = strategy

    def read(self):
        """Reads the latest checkpoint that all processes have.

        All of them must call it.

        Returns:
            As from `CheckpointFolder`; `None` also if a process was killed
            before its first checkpoint.

        Raises:
            ValueError: If some have checkpoints and none is of all.
        """
        own = [place(self.path / name) for name in (LATEST, PREVIOUS)]
        places = [
            {tuple(pair) for pair in pairs} - {NOWHERE}
            for pairs in backend.gather(np.array(own), self._strategy).tolist()
        ]
        common = set.intersection(*places)
        counts = [len(one) for one in places]
        if not common and (min(counts) or max(counts) > 1):
            raise ValueError(
                "The workers have no undamaged checkpoint in common, so they "
                "cannot resume together. Give each the folder that it had, or "
                "delete the folders of all of them to begin the training "
                f"anew. Received: {str(self.path)!r}, and as the numbers of "
                f"the workers' checkpoints {counts}"
            )
        if own[0] not in {NOWHERE, max(common, default=NOWHERE)}:
            # Others have not got so far.
            os.remove(self.path / LATEST)
        return super().read() if common else None

    def delete(self):
        super().delete()
        # The last one removes the common folder.
        with contextlib.suppress(OSError):
            self.path.parent.rmdir()


def place(path):
    """Where in the training a checkpoint is.

    Args:
        path: Path.

    Returns:
        Pair of integers, `NOWHERE` if there is none that can be read.
    """
    try:
        _, metadata = load(path)
    except DAMAGED:
        return NOWHERE
    step = metadata["step"]
    return metadata["epoch"], END_OF_EPOCH if step is None else step
