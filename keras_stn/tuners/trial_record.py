import json
import os
import shutil

import keras_tuner

FILE = "hyperparameters.json"
SCHEDULE = "schedule.csv"
PICTURE = "schedule.png"
BACKUP = "backup"


class TrialRecord:
    """What a trial's folder holds of the values that it tuned.

    Args:
        folder: String, the trial's folder.
    """

    def __init__(self, folder):
        self.folder = folder

    def path(self, name):
        return os.path.join(self.folder, name)

    @property
    def backup(self):
        """The folder for checkpoints of a training under way."""
        return self.path(BACKUP)

    def begin(self):
        """Forgets a training that does not go on."""
        if not os.path.isdir(self.backup):
            self.remove(FILE, SCHEDULE, PICTURE)

    def end(self, is_completed):
        """Lets go of what only a training under way needs."""
        shutil.rmtree(self.backup, ignore_errors=True)
        if not is_completed:
            self.remove(FILE)

    def remove(self, *names):
        for name in names:
            if os.path.exists(self.path(name)):
                os.remove(self.path(name))

    def read(self):
        """The best epoch so far.

        Returns:
            Dictionary with the `objective` of the best epoch, the `space` of
            what was tuned and its `values`; empty if there is none.
        """
        if not os.path.exists(self.path(FILE)):
            return {}
        with open(self.path(FILE)) as file:
            return json.load(file)

    def write(self, objective, space, values):
        """Records the best epoch so far, whole or not at all.

        Args:
            objective: Float.
            space: List of the KerasTuner declarations that are tuned.
            values: Dictionary from their names to numbers.
        """
        hyperparameters = keras_tuner.HyperParameters()
        hyperparameters.merge(space)
        record = {**hyperparameters.get_config(), "objective": objective}
        record["values"] = values
        partial = self.path(FILE + ".partial")
        with open(partial, "w") as file:
            json.dump(record, file)
        os.replace(partial, self.path(FILE))

    def add_to(self, hyperparameters):
        """The hyperparameters of a trial with the tuned ones.

        Args:
            hyperparameters: The `keras_tuner.HyperParameters` of the search.

        Returns:
            A `HyperParameters`.
        """
        result = hyperparameters.copy()
        record = self.read()
        if record:
            tuned = keras_tuner.HyperParameters.from_config(
                {"space": record["space"], "values": record["values"]}
            )
            result.merge(tuned)
            result.values.update(record["values"])
        return result
