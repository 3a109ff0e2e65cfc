"""Runs an audit's first nodes as whole processes, with `linear` and with `plugin: auto`.

    cargo build --release && python3 examples/benchmark/whole.py FILE.csv[.gz] ...

FILE has the columns record_id, text, label, and true_label where the errors are known. Every run has
a cache of its own, reads the file, makes folds, predicts out of fold and writes the frames; wall and
CPU seconds and peak memory are those of the process. For `auto` the seconds of the choice are told
beside those of the folds, and what was chosen. --runs N takes the quickest of N.
"""
import argparse
import csv
import io
import json
import os
import subprocess
import tempfile
import time

PIPELINE = """
version: 1
name: whole
nodes:
  records: {kind: source, path: %s, columns: {id: record_id, text: text, label: label}}
  folds: {kind: kfold, input: records, k: 5}
  oof: {kind: predict, input: folds, classifier: {plugin: %s}}
"""


def events_of(program, folder):
    """One run: its events as JSON, with what the process took."""
    started = time.perf_counter()
    process = subprocess.Popen([program, "run", "--format", "json"], cwd=folder,
                               stdout=subprocess.PIPE, text=True)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"relabel run ended with {process.returncode}")
    took = {"seconds": time.perf_counter() - started, "peak_mb": usage.ru_maxrss / 1024,
            "cpu_seconds": usage.ru_utime + usage.ru_stime}
    return took, [json.loads(line) for line in output.splitlines()]


def accuracy(program, folder):
    """The share of predictions that are the true label; None where there is no truth."""
    shown = subprocess.run([program, "show", "oof", "--format", "csv", "--limit", "0"], cwd=folder,
                           stdout=subprocess.PIPE, text=True, check=True).stdout
    csv.field_size_limit(1 << 30)
    rows = list(csv.DictReader(io.StringIO(shown)))
    if "true_label" not in rows[0]:
        return None
    return sum(row["predicted_label"] == row["true_label"] for row in rows) / len(rows)


def measured(program, path, plugin):
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "relabel.yaml"), "w", encoding="utf-8") as file:
            file.write(PIPELINE % (json.dumps(os.path.abspath(path)), plugin))
        open(os.path.join(folder, "relabel.toml"), "w", encoding="utf-8").close()
        took, events = events_of(program, folder)
        choice = [event for event in events
                  if event.get("event") == "unit" and event.get("part") == "choice"]
        took["choice_seconds"] = sum(unit["seconds"] for unit in choice) if choice else None
        notes = [note["name"] for unit in choice for note in unit.get("notes", [])]
        chosen = [name for name in notes if name.endswith(", chosen")]
        took["chosen"] = chosen[0][len("accuracy of "):-len(", chosen")] if chosen else plugin
        took["accuracy"] = accuracy(program, folder)
        return took


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="+")
    parser.add_argument("--program", default="target/release/relabel")
    parser.add_argument("--plugins", nargs="*", default=["linear", "auto"])
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    program = os.path.abspath(arguments.program)
    print("| set | plugin | seconds | of them choosing | CPU s | peak MB | accuracy (truth) | chosen |")
    print("| --- | --- | --: | --: | --: | --: | --: | --- |")
    for path in arguments.files:
        folder, name = os.path.split(os.path.abspath(path))
        for plugin in arguments.plugins:
            runs = [measured(program, path, plugin) for _ in range(arguments.runs)]
            best = min(runs, key=lambda run: run["seconds"])
            shown = lambda value, form: "" if value is None else form % value
            print(f"| {os.path.basename(folder)}/{name.split('.')[0]} | {plugin} | "
                  f"{best['seconds']:.2f} | {shown(best['choice_seconds'], '%.2f')} | "
                  f"{best['cpu_seconds']:.2f} | {best['peak_mb']:.0f} | "
                  f"{shown(best['accuracy'], '%.3f')} | {best['chosen']} |", flush=True)


main()
