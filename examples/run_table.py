"""What the scripts that compare many runs share: their file and their table."""

import csv
import json

from keras_stn.schedules.records import complete_lines


class Runs:
    """The runs so far, in a CSV file with a line for each.

    A last line that an interruption has torn is removed from the file, so
    that the next run begins a line.

    Args:
        path: Path of the file, which may exist.
    """

    def __init__(self, path):
        self.path = path
        self.rows = []
        if path.exists():
            lines = complete_lines(path.read_text(encoding="utf-8"))
            text = "".join(f"{line}\n" for line in lines)
            path.write_text(text, encoding="utf-8")
            self.rows = list(csv.DictReader(lines))

    def find(self, key):
        """The run with these entries; `None` if it is yet to be made.

        Args:
            key: Dictionary from columns to values.
        """
        for row in self.rows:
            if all(row[name] == str(value) for name, value in key.items()):
                return row
        return None

    def add(self, run):
        """Writes a run at once, lest an interruption loses it.

        Args:
            run: Dictionary from columns to values, with the same columns for
                every run.

        Returns:
            The same with strings, as `find` gives it.
        """
        run = {name: str(value) for name, value in run.items()}
        is_first = not self.path.exists() or not self.path.stat().st_size
        with self.path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, run, lineterminator="\n")
            if is_first:
                writer.writeheader()
            writer.writerow(run)
        self.rows.append(run)
        return run


def check_settings(arguments, path, free):
    """Refuses to mix runs of different settings in one folder.

    Args:
        arguments: The command line's arguments.
        path: Path of a JSON file, written for the folder's first runs.
        free: Names of the arguments that runs beside each other may differ in.
    """
    settings = {
        name: value
        for name, value in sorted(vars(arguments).items())
        if name not in free
    }
    if not path.exists():
        path.write_text(json.dumps(settings, indent=2) + "\n")
        return
    before = json.loads(path.read_text())
    changed = [
        f"{name} {before.get(name)}, now {settings.get(name)}"
        for name in {**before, **settings}
        if before.get(name) != settings.get(name)
    ]
    if changed:
        raise SystemExit(
            "The runs in the folder of --output were made with other "
            "settings, and would not compare. Give another folder, or the "
            f"same settings. Received: {'; '.join(changed)}"
        )


def to_markdown(table):
    """A table as Markdown, its columns aligned.

    Args:
        table: List of rows, the header first, which are lists of strings.
    """
    widths = [max(map(len, column)) for column in zip(*table)]
    lines = [
        "| " + " | ".join(c.ljust(w) for c, w in zip(row, widths)) + " |"
        for row in table
    ]
    rule = "|" + "|".join("-" * (w + 2) for w in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]]) + "\n"


def save_table(table, path, figures=None):
    """Writes a table as Markdown and CSV, in files of one name.

    Args:
        table: List of rows of strings, as for `to_markdown`.
        path: Path of the Markdown file.
        figures: List of rows for the CSV file; those of `table` by default.

    Returns:
        String, the Markdown.
    """
    text = to_markdown(table)
    path.write_text(text, encoding="utf-8")
    path = path.with_suffix(".csv")
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows(figures or table)
    return text
