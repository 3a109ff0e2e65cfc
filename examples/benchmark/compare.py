"""Runs classifier plugins and their peers side by side on labelled CSV files and prints a table.

    cargo build --release && cargo build --release --workspace --examples
    python examples/benchmark/compare.py --python VENV/bin/python --out results.jsonl FILE.csv.gz ...

FILE has the columns text and label, and true_label where the errors are known. VENV has numpy and
scikit-learn (and fasttext for --peers fasttext). Every configuration is a process of its own; ours and
theirs take turns, so that a machine that slows down slows both, and each is run --runs times: the
quickest counts. A line of JSON for each run goes to --out; --table FILE makes the table of such a file.
"""
import argparse
import json
import os
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PLUGINS = ["linear", "complement-nb", "naive-bayes"]
PEERS = ["saga", "sgd", "cnb"]


def measured(command):
    """Runs a command; its report with whole-process seconds, CPU seconds and peak memory."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    report = json.loads(output)
    report["process_seconds"] = time.perf_counter() - started
    report["process_cpu_seconds"] = usage.ru_utime + usage.ru_stime
    report["process_peak_mb"] = usage.ru_maxrss / 1024
    return report


def commands(arguments, path):
    """Ours and theirs in turn: (name, command)."""
    ours = []
    for wanted in arguments.plugins:
        plugin, _, params = wanted.partition(":")
        ours.append((wanted, [arguments.program, path, plugin, params or "{}", "2"]))
    theirs = []
    for wanted in arguments.peers:
        peer, *options = wanted.split(":")
        options = [part for option in options for part in ("--" + option).split("=", 1)]
        command = [arguments.python, os.path.join(HERE, "peer.py"), path, peer]
        theirs.append((wanted, command + options))
    turns = []
    for position in range(max(len(ours), len(theirs))):
        turns += ours[position:position + 1] + theirs[position:position + 1]
    return turns


def set_name(path):
    """`banking77/train_uniform20`: files of several sets have the same name."""
    folder, name = os.path.split(os.path.abspath(path))
    return f"{os.path.basename(folder)}/{name.split('.')[0]}"


def table(rows):
    best = {}
    for row in rows:
        key = (set_name(row["file"]), row["name"])
        if key not in best or row["seconds"] < best[key]["seconds"]:
            best[key] = row
    print("| set | rows x classes | classifier | seconds | CPU s | peak MB | accuracy (truth) | "
          "log-loss (given) | calibration error | AP of self-confidence |")
    print("| --- | --: | --- | --: | --: | --: | --: | --: | --: | --: |")
    for (name, _), row in sorted(best.items(), key=lambda item: item[0]):
        truth = row.get("truth", {}).get("accuracy")
        precision = row.get("average_precision")
        shown = lambda value: "" if value is None else f"{value:.3f}"
        print(f"| {name} | {row['rows']:,} x {row['classes']} | {row['name']} | "
              f"{row['seconds']:.2f} | {row['cpu_seconds']:.2f} | {row['process_peak_mb']:.0f} | "
              f"{shown(truth)} | {row['given']['log_loss']:.3f} | "
              f"{row['given']['calibration_error']:.3f} | {shown(precision)} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="*")
    parser.add_argument("--python", default=sys.executable, help="Python of the peers")
    parser.add_argument("--program", default="target/release/examples/benchmark")
    parser.add_argument("--plugins", nargs="*", default=PLUGINS, help="NAME or NAME:JSON")
    parser.add_argument("--peers", nargs="*", default=PEERS, help="NAME[:once][:c=10][:folds-run=1]")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--out", default="results.jsonl")
    parser.add_argument("--table", help="print the table of a file of results and stop")
    arguments = parser.parse_args()
    if arguments.table:
        with open(arguments.table, encoding="utf-8") as file:
            return table([json.loads(line) for line in file])
    rows = []
    with open(arguments.out, "a", encoding="utf-8") as out:
        for path in arguments.files:
            for _ in range(arguments.runs):
                for name, command in commands(arguments, path):
                    report = measured(command)
                    report["name"] = name
                    rows.append(report)
                    out.write(json.dumps(report) + "\n")
                    out.flush()
                    print(f"{os.path.basename(path)} {name}: {report['seconds']:.2f} s",
                          file=sys.stderr)
    table(rows)


main()
