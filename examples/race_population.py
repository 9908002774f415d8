"""Population-based training in the race of `compare_tuners.py`, by Ray Tune.

Eight networks train in turns, `INTERVAL` epochs at a time, in one actor of
Ray that is reused for all of them. After its turn a network of the worst
quarter takes the weights of one of the best quarter and, changed a little,
its hyperparameters; it is then built and compiled anew, as Keras's layers
have their numbers for good. The other networks stay in the actor's memory.

A population ends when none of its networks has been better for as many epochs
as early stopping allows each, or after the epochs that each may take; then
another begins with the next seed.
"""

import math
import os
import pathlib
import pickle
import random

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
# What Ray prints and writes for its users takes time.
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

import keras
import ray
from race_problems import BATCH_SIZE
from race_problems import MONITOR
from race_problems import PATIENCE
from race_problems import Problem
from race_problems import Values
from race_recorder import RecordEpochs
from race_recorder import Recorder
from race_recorder import read_rows
from ray import tune
from ray.tune.schedulers import PopulationBasedTraining

POPULATION = 8
# Epochs between two looks at the others.
INTERVAL = 5
STATE_FILE = "state.pickle"

# What the actor's process keeps for all networks.
actor = {}


class Member(tune.Trainable):
    """A network of the population."""

    def setup(self, config):
        # Ray may give a process of the population before.
        if actor.get("race") != config["race"]:
            prepare_actor(config["race"])
        self.reset_config(config)

    def reset_config(self, new_config):
        self.values = dict(new_config["values"])
        self.epoch = 0
        known, self.model = actor["models"].get(self.trial_id, ({}, None))
        if known != self.values:
            self.model = None
        return True

    def step(self):
        recorder = actor["recorder"]
        model = self.network()
        training, validation, _ = actor["data"]
        # Numbers are given in the order of the first turns.
        numbers = actor["numbers"]
        recorder.trials = numbers.setdefault(
            self.trial_id, actor["race"]["first"] + len(numbers)
        )
        recorder.begin_trial()
        history = model.fit(
            *training,
            batch_size=BATCH_SIZE,
            initial_epoch=self.epoch,
            epochs=min(self.epoch + INTERVAL, actor["problem"].epochs),
            validation_data=validation,
            verbose=0,
            callbacks=[RecordEpochs(recorder)],
        )
        self.epoch += len(history.epoch)
        if recorder.best_of_trial < actor["best"]:
            actor.update(best=recorder.best_of_trial, waited=0)
        else:
            actor["waited"] += len(history.epoch)
        recorder.end_trial(model, self.values)
        return {
            "val_loss": history.history[MONITOR][-1],
            "is_over": recorder.is_cut
            or actor["waited"] >= PATIENCE * POPULATION
            or self.epoch >= actor["problem"].epochs,
        }

    def network(self):
        """The network with the hyperparameters as they are."""
        if self.model is None:
            problem = actor["problem"]
            self.model = problem.build(Values(self.values))
            self.model.optimizer.build(self.model.trainable_variables)
            actor["models"][self.trial_id] = self.values, self.model
        return self.model

    def save_checkpoint(self, checkpoint_dir):
        state = {
            "epoch": self.epoch,
            "weights": self.network().get_weights(),
            "optimizer": [v.numpy() for v in self.model.optimizer.variables],
        }
        path = pathlib.Path(checkpoint_dir, STATE_FILE)
        path.write_bytes(pickle.dumps(state))

    def load_checkpoint(self, checkpoint):
        path = pathlib.Path(checkpoint, STATE_FILE)
        state = pickle.loads(path.read_bytes())
        self.epoch = state["epoch"]
        model = self.network()
        model.set_weights(state["weights"])
        for variable, value in zip(
            model.optimizer.variables, state["optimizer"]
        ):
            variable.assign(value)


def prepare_actor(race):
    """Loads the data; then the clock runs until the actor ends."""
    keras.utils.set_random_seed(race["seed"])
    problem = Problem(*race["problem"])
    data = problem.load(race["data_dir"])
    recorder = Recorder(
        pathlib.Path(race["path"]),
        race["budget"],
        race["kind"],
        data[2],
        keeps_all=True,
    )
    actor.update(
        race=race,
        problem=problem,
        data=data,
        recorder=recorder,
        models={},
        numbers={},
        best=float("inf"),
        waited=0,
    )
    recorder.clock.start()


class PopulationEnds(tune.Stopper):
    """Stops all networks at the word of one."""

    def __init__(self):
        self.is_over = False

    def __call__(self, trial_id, result):
        self.is_over = self.is_over or result["is_over"]
        return self.is_over

    def stop_all(self):
        return self.is_over


def search(problem, race, folder):
    """Trains populations until the budget is spent.

    Args:
        problem: The `Problem`.
        race: Dictionary of what the actor must know, see `prepare_actor`.
        folder: Path of the folder for Ray's files.
    """
    ray.init(
        num_cpus=1,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
    )
    while not is_spent(race):
        population = count_populations(race)
        run_population(
            problem,
            race
            | {
                "seed": race["seed"] + 1000 * population,
                "first": population * POPULATION,
            },
            folder,
        )
    ray.shutdown()


def count_populations(race):
    """How many populations have begun, also before an interruption."""
    rows = read_rows(pathlib.Path(race["path"]))
    networks = {row["trial"] for row in rows if row["what"] == "epoch"}
    return math.ceil((max(networks, default=-1) + 1) / POPULATION)


def is_spent(race):
    path = pathlib.Path(race["path"])
    recorder = Recorder(
        path, race["budget"], race["kind"], None, keeps_all=True
    )
    return recorder.clock.is_over


def run_population(problem, race, folder):
    """Trains one population.

    Args:
        problem: The `Problem`.
        race: Dictionary, see `prepare_actor`, with `first`, the number of
            the first network.
        folder: Path of a folder.
    """
    keras.utils.set_random_seed(race["seed"])
    draw = random.Random(race["seed"])
    ranges = problem.ranges
    starts = [
        {name: one.from_unit(draw.random()) for name, one in ranges.items()}
        for _ in range(POPULATION)
    ]

    def inside(config):
        # Steps of a fifth may lead out of a range.
        values = {
            name: min(max(config["values"][name], one.low), one.high)
            for name, one in ranges.items()
        }
        return config | {"values": values}

    kinds = {"linear": tune.uniform, "log": tune.loguniform}
    mutations = {
        name: kinds[one.sampling](one.low, one.high)
        for name, one in ranges.items()
    }
    scheduler = PopulationBasedTraining(
        time_attr="training_iteration",
        perturbation_interval=1,
        hyperparam_mutations={"values": mutations},
        custom_explore_fn=inside,
    )
    space = {
        "race": race,
        "member": tune.grid_search(list(range(POPULATION))),
    }
    space["values"] = tune.sample_from(lambda s: starts[s["member"]])
    tune.Tuner(
        tune.with_resources(Member, {"cpu": 1}),
        param_space=space,
        tune_config=tune.TuneConfig(
            metric="val_loss",
            mode="min",
            scheduler=scheduler,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name=f"pbt-{race['seed']}",
            storage_path=str(folder.resolve()),
            stop=PopulationEnds(),
            verbose=0,
        ),
    ).fit()
