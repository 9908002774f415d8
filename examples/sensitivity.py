"""How much the ratio of steps and the scale of perturbations matter.

    python examples/sensitivity.py
    python examples/sensitivity.py --problem language

trains the same network with different numbers of training and tuning steps a
cycle, and with different scales of the perturbations, fixed or tuned. The
network of `quickstart.py` on the sample of Fashion-MNIST, or the LSTM of
`language_model.py` on sentences of a grammar; either takes a few minutes on
two cores. Runs make the same number of weight updates, so that their curves
compare; how many tuning updates that are and how many seconds they take
differs, and is in the table. It writes the table as Markdown and CSV and two
pictures of the validation figures over the weight updates.

    python examples/sensitivity.py --data-dir DIR --seeds 2
    python examples/sensitivity.py --problem language --data-dir DIR

do the same on all of Fashion-MNIST, from TensorFlow Datasets, and on the files
`train.txt`, `valid.txt` and `test.txt` in DIR.

A run is written to `runs.csv` as soon as it is done. Started again, the
program goes on where it was interrupted; with more seeds, ratios or scales it
trains what is missing.
"""

import argparse
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import sensitivity_report as report
from run_table import Runs
from run_table import check_settings
from run_table import save_table
from sensitivity_problems import DEFAULTS
from sensitivity_problems import PROBLEMS
from sensitivity_problems import QUICK

# The steps and the scale that vary one at a time.
USUAL_STEPS = (2, 1)
RATIOS = ("1:1", "2:1", "5:1", "10:1", "1:10", "15:15")
SCALES = ("0.1", "0.5", "1.0", "tuned")
# Runs that differ in these belong together all the same.
FREE = ("seed", "seeds", "ratios", "scales", "output", "quick")


def to_steps(text):
    """Reads training and tuning steps a cycle, as in `2:1`."""
    train_steps, _, tuning_steps = text.partition(":")
    if not (train_steps.isdecimal() and tuning_steps.isdecimal()):
        raise argparse.ArgumentTypeError(
            "a ratio is two counts of steps with a colon between them, as in "
            f"2:1. Received: {text}"
        )
    if not (int(train_steps) and int(tuning_steps)):
        raise argparse.ArgumentTypeError(
            f"a ratio's counts of steps are at least 1. Received: {text}"
        )
    return int(train_steps), int(tuning_steps)


def to_scale(text):
    """Reads the scale of the perturbations: a number, or `tuned`."""
    if text == "tuned":
        return text
    try:
        scale = float(text)
    except ValueError:
        scale = 0.0
    if not 0.0 < scale < float("inf"):
        raise argparse.ArgumentTypeError(
            f"a scale is 'tuned' or a positive number. Received: {text}"
        )
    return scale


def name_of(steps, scale):
    """How a setting is called in tables: ratio and scales."""
    return "{}:{}".format(*steps), str(scale)


def train(problem, steps, scale, seed, folder):
    """One run; returns its figures."""
    folder.mkdir(parents=True, exist_ok=True)
    # The log of a run that was interrupted.
    (folder / "log.csv").unlink(missing_ok=True)
    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)
    return problem.run(steps, scale, folder)


def folder_of(arguments, setting, seed):
    """The folder of one run."""
    ratio, scale = setting
    name = f"{ratio.replace(':', '-')}-scale-{scale}-seed-{seed}"
    return arguments.output / "runs" / name


def write_report(arguments, rows, ratios, scales):
    """Writes the table and both pictures, of the runs that are done.

    Args:
        arguments: The command line's arguments.
        rows: List of dictionaries of strings, the runs.
        ratios: Dictionary from labels to settings, for one picture.
        scales: The same for the other.

    Returns:
        String, the table.
    """
    measure = PROBLEMS[arguments.problem].measure
    by_setting = {}
    for row in rows:
        setting = row["train:tuning"], row["scales"]
        by_setting.setdefault(setting, []).append(row)
    for what, title, settings in (
        ("ratios", "training : tuning steps", ratios),
        ("scales", "scale of perturbations", scales),
    ):
        curves = {
            label: [
                report.read_curve(
                    folder_of(arguments, setting, row["seed"]) / "log.csv",
                    measure,
                    int(row["weight updates"]),
                )
                for row in by_setting[setting]
            ]
            for label, setting in settings.items()
            if setting in by_setting
        }
        if curves:
            path = arguments.output / f"{what}.png"
            report.draw(curves, measure, title, path)
    order = dict.fromkeys([*ratios.values(), *scales.values()])
    summary = {
        setting: report.to_figures(by_setting[setting])
        for setting in order
        if setting in by_setting
    }
    return save_table(
        report.to_cells(summary),
        arguments.output / "table.md",
        report.to_numbers(summary),
    )


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--problem", choices=list(PROBLEMS), default="image")
    add("--quick", action="store_true", help="next to no data, for tests")
    add(
        "--data-dir",
        help="folder of TensorFlow Datasets, or of train.txt, valid.txt and "
        "test.txt",
    )
    add("--ratios", type=to_steps, nargs="*", default=[*map(to_steps, RATIOS)])
    add("--scales", type=to_scale, nargs="*", default=[*map(to_scale, SCALES)])
    add("--seed", type=int, default=0, help="the first seed")
    add("--seeds", type=int, default=1, help="how many runs a setting")
    add("--output", type=pathlib.Path, help="folder for what is written")
    add("--epochs", type=int)
    add("--batch-size", type=int, help="images, or streams side by side")
    add("--hyper-learning-rate", type=float)
    problem = parser.parse_known_args()[0].problem
    if problem == "image":
        add("--train-images", type=int, help="use only the first so many")
        add("--validation-images", type=int, help="use only the first so many")
    else:
        add("--train-words", type=int, help="use only the first so many")
        add("--validation-words", type=int, help="use only the first so many")
        add("--test-words", type=int, help="use only the first so many")
        add("--max-words", type=int, help="size of the vocabulary")
        add("--units", type=int, help="of each LSTM layer")
        add("--layers", type=int, help="LSTM layers")
        add("--length", type=int, help="words of a segment")
        add("--warmup-epochs", type=int, help="before tuning begins")
        add("--learning-rate", type=float)
    parser.set_defaults(**DEFAULTS[problem])
    arguments = parser.parse_args()
    if arguments.quick:
        # What was asked for by name still counts.
        parser.set_defaults(**QUICK[problem])
        arguments = parser.parse_args()
    for name in ("epochs", "seeds", "batch_size"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1")
    if not (arguments.ratios or arguments.scales):
        parser.error("give --ratios or --scales something to compare")
    if arguments.output is None:
        arguments.output = pathlib.Path("results", f"sensitivity-{problem}")
    return arguments


def main():
    arguments = parse_arguments()
    arguments.output.mkdir(parents=True, exist_ok=True)
    check_settings(arguments, arguments.output / "settings.json", FREE)
    problem = PROBLEMS[arguments.problem](arguments)
    ratios = {
        name_of(steps, problem.scale)[0]: (steps, problem.scale)
        for steps in arguments.ratios
    }
    scales = {
        scale if scale == "tuned" else f"{scale:g}, fixed": (USUAL_STEPS, scale)
        for scale in arguments.scales
    }
    names = [
        {label: name_of(*setting) for label, setting in settings.items()}
        for settings in (ratios, scales)
    ]
    runs = Runs(arguments.output / "runs.csv")
    for seed in range(arguments.seed, arguments.seed + arguments.seeds):
        for setting in dict.fromkeys([*ratios.values(), *scales.values()]):
            name = name_of(*setting)
            what = f"ratio {name[0]}, scales {name[1]}, seed {seed}"
            key = dict(zip(report.KEYS, (*name, seed)))
            if runs.find(key):
                print(f"{what}: done before", flush=True)
                continue
            folder = folder_of(arguments, name, seed)
            figures = train(problem, *setting, seed, folder)
            runs.add(key | figures)
            print(f"{what}: {figures['seconds']:.0f} s", flush=True)
            write_report(arguments, runs.rows, *names)
    table = write_report(arguments, runs.rows, *names)
    updates = {row["weight updates"] for row in runs.rows}
    print(
        f"\nEvery run makes {' or '.join(updates)} weight updates.\n\n{table}"
    )
    print(f"Runs, table and pictures are in {arguments.output}/")


if __name__ == "__main__":
    main()
