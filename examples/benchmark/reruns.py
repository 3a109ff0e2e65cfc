"""Measures how long reruns take, as whole-process times, and prints a table beside the targets.

    cargo build --release && python3 examples/benchmark/reruns.py

Makes its own records in a temporary folder (--records, 100,000 by default) and runs the pipeline
`pipelines/audit.yaml` on them, then pipelines of 1,000 and 10,000 small filters. Each figure is the
median of --runs, with the least beside it; nothing else should be going on.

    python3 examples/benchmark/reruns.py --memory 10000 100000 1000000

measures cold runs instead: how much memory they have at most, beside the largest frame in memory, and
how much of the time does not go into node kinds. What a run has before the classifier starts is
measured by another run, which ends there.
"""
import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
LABELS = ["account", "billing", "delivery", "technical", "travel"]


def write_records(path, count):
    """Texts of eight words, most of them of the label; one label in twelve is wrong."""
    draw = random.Random(7)
    with open(path, "w", encoding="utf-8") as file:
        file.write("record_id,text,label\n")
        for n in range(count):
            label = draw.randrange(len(LABELS))
            words = [draw.randrange(400) if draw.random() < 0.4 else 400 + 80 * label + draw.randrange(80)
                     for _ in range(8)]
            given = draw.randrange(len(LABELS)) if draw.random() < 0.1 else label
            text = " ".join(f"word{word}" for word in words)
            file.write(f"r{n:07},{text},{LABELS[given]}\n")


def chain(units):
    """A pipeline of `units` nodes: a source, then filters that each read an earlier one."""
    lines = ["version: 1", "nodes:", "  a0: {kind: source, path: few.csv}"]
    for n in range(1, units):
        lines.append(f"  a{n}: {{kind: filter, input: a{(n - 1) // 4}, where: 'text != ''{n}'''}}")
    return "\n".join(lines) + "\n"


class Bench:
    def __init__(self, program, folder, runs):
        self.program, self.folder, self.runs = program, folder, runs
        self.rows = []

    def run(self, *arguments):
        command = [self.program, *arguments]
        started = time.perf_counter()
        done = subprocess.run(command, cwd=self.folder, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, check=False)
        seconds = time.perf_counter() - started
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(command)}: {done.stderr.decode()}")
        return seconds

    def row(self, what, target_ms, seconds):
        middle, least = 1000 * statistics.median(seconds), 1000 * min(seconds)
        self.rows.append((what, target_ms, middle, least))
        print(f"{what}: {middle:.1f} ms", file=sys.stderr)

    def repeat(self, what, target_ms, *arguments):
        self.run(*arguments)
        self.row(what, target_ms, [self.run(*arguments) for _ in range(self.runs)])


def cold(program, folder, *arguments):
    """Runs to the end: peak memory in MB, wall seconds, events."""
    command = [program, "run", "audit.yaml", "--format", "json", *arguments]
    with open(os.path.join(folder, "events"), "w+b") as out:
        started = time.perf_counter()
        child = subprocess.Popen(command, cwd=folder, stdout=out, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - started
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            raise SystemExit(f"{' '.join(command)}: exit code {child.returncode}")
        out.seek(0)
        events = [json.loads(line) for line in out.read().splitlines()]
    return usage.ru_maxrss / 1000, seconds, events


def cached(folder):
    """Bytes in the cache, and those of the largest frame, in MB; columns count for each frame."""
    bytes_of = {}
    for path, _, names in os.walk(os.path.join(folder, ".relabel")):
        for name in names:
            bytes_of[os.path.join(path, name)] = os.path.getsize(os.path.join(path, name))
    frames = [0]
    for path in bytes_of:
        if "records-v3" in path:
            with open(path, encoding="utf-8") as file:
                outputs = json.load(file)["outputs"]
            frames += [sum(blob["bytes"] for blob in output["blobs"]) for output in outputs]
    return sum(bytes_of.values()) / 1e6, max(frames) / 1e6


def in_nodes(events):
    """Seconds in which a node kind was at work, with one unit at a time."""
    return sum(event["node_seconds"] for event in events
               if event["event"] == "unit" and event["state"] == "run")


def memory(program, counts):
    cold_run = ("--jobs", "1", "--set", "nodes.records.path=records.csv")
    print("| records | cache, MB | largest frame, MB | peak before the classifier, MB | peak, MB | "
          "seconds | in node kinds | engine |")
    print("| --: | --: | --: | --: | --: | --: | --: | --: |")
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            prepare(folder, count)
            before, _, _ = cold(program, folder, "--select", "folds", *cold_run)
            shutil.rmtree(os.path.join(folder, ".relabel"))
            after, wall, events = cold(program, folder, *cold_run)
            (total, largest), work = cached(folder), in_nodes(events)
            print(f"| {count:,} | {total:.0f} | {largest:.1f} | {before:.0f} | {after:.0f} | {wall:.2f} | "
                  f"{work:.2f} | {1000 * (wall - work):.0f} ms, {100 * (wall - work) / work:.1f} % |", flush=True)


def prepare(folder, count):
    open(os.path.join(folder, "relabel.toml"), "w").close()
    write_records(os.path.join(folder, "records.csv"), count)
    shutil.copy(os.path.join(ROOT, "pipelines", "audit.yaml"), os.path.join(folder, "audit.yaml"))
    with open(os.path.join(folder, "taxonomy.yaml"), "w", encoding="utf-8") as file:
        file.write(f"version: 1\ncategories: [{', '.join(LABELS)}]\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    target = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
    parser.add_argument("--program", default=os.path.join(target, "release", "relabel"))
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--memory", type=int, nargs="+", metavar="RECORDS")
    arguments = parser.parse_args()
    if arguments.memory:
        return memory(arguments.program, arguments.memory)
    with tempfile.TemporaryDirectory() as folder:
        prepare(folder, arguments.records)
        write_records(os.path.join(folder, "few.csv"), 20)
        for units in (1000, 10_000):
            with open(os.path.join(folder, f"units{units}.yaml"), "w", encoding="utf-8") as file:
                file.write(chain(units))
        bench = Bench(arguments.program, folder, arguments.runs)
        audit = ["run", "audit.yaml", "--set", "nodes.records.path=records.csv"]
        bench.repeat("--version", 15, "--version")
        bench.row("cold run of the audit pipeline", None, [bench.run(*audit)])
        # A file that changed less than two seconds ago is hashed at every look.
        time.sleep(2.5)
        bench.repeat("no-op run, audit pipeline", 25, *audit)
        new, back = [], []
        for n in range(arguments.runs):
            new.append(bench.run(*audit, "--set", f"params.confidence={0.5 + 0.01 * n}"))
            back.append(bench.run(*audit))
        bench.row("changed filter threshold, to the finished queue", 150, new)
        bench.row("back to the first threshold", 60, back)
        for units, limit in ((1000, 100), (10_000, 500)):
            bench.row(f"cold run, {units:,} units", None, [bench.run("run", f"units{units}.yaml")])
            bench.repeat(f"no-op run, {units:,} units", limit, "run", f"units{units}.yaml")
    print(f"| what ({arguments.records:,} records) | target ms | median ms | least ms |")
    print("| --- | --: | --: | --: |")
    for what, limit, middle, least in bench.rows:
        print(f"| {what} | {limit or ''} | {middle:.1f} | {least:.1f} |")
    return None


main()
