"""How well wrong labels are found, and how far a reviewer's work goes; beside scikit-learn and cleanlab.

    cargo build --release
    VENV/bin/python examples/benchmark/audit.py --out audit.jsonl FILE.csv.gz ...

FILE has the columns record_id, text, label and true_label. VENV has numpy, scikit-learn and cleanlab.

Part `ranking`: average precision, and precision at the number of true errors, of each score of `issues`
on out-of-fold probabilities of a shipped classifier, and of cleanlab's scores on those of scikit-learn's
TF-IDF and logistic regression (vectoriser fitted per fold; five stratified folds on both sides).

Part `effort`: errors left after --rounds rounds of --budget reviews each, and after one round with as
many reviews (at most a fifth of the records in all), by a reviewer who looks at the truth and errs in a share of --errs of the records. Decisions
go in by `relabel review import`. The first number of errors left counts labels in the cleaned data that
differ from the truth. One JSON object a line goes to --out; --table FILE prints the tables of such a file.
"""
import argparse
import collections
import csv
import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
import tempfile
import time

import numpy as np

from peer import FOLDS, SEED, read

SCORES = ["normalized_margin", "self_confidence", "threshold_log_ratio", "confidence_weighted_entropy"]

HEAD = """version: 1
name: bench
nodes:
  records: {kind: source, path: records.csv}
  valid: {kind: validate, input: records, text: {min_chars: 1, max_chars: 1000000}}
"""

AUDIT = """  folds: {{kind: kfold, input: current, k: 5, seed: 42}}
  oof: {{kind: predict, input: folds, classifier: {classifier}{weight}}}
"""

LOOP = """  decided: {{kind: corrections, store: 'sqlite:relabel.db'}}
  current: {{kind: clean, input: valid, corrections: decided}}
{audit}  issues: {{kind: issues, input: oof, score: {score}}}
  suspicious:
    kind: filter
    input: issues
    {decisions}
    where: text_valid
    lanes: [{{name: ranked, rule: ranked, rank_by: {rank}, budget: {budget}}}]
  queue: {{kind: review-queue, input: suspicious, store: 'sqlite:relabel.db', rank_by: {rank}, budget: {budget}}}
"""


class Project:
    """A folder with a pipeline, and `relabel` in it."""

    def __init__(self, folder, program, path, pipeline):
        self.folder, self.program = folder, os.path.abspath(program)
        self.write("relabel.toml", "")
        self.write("relabel.yaml", pipeline)
        opened = gzip.open(path, "rb") if path.endswith(".gz") else open(path, "rb")
        with opened as source, open(os.path.join(folder, "all.csv"), "wb") as target:
            target.write(source.read())
        with open(os.path.join(folder, "all.csv"), encoding="utf-8", newline="") as source:
            rows = list(csv.DictReader(source))
        # The program under test must not see the truth.
        with open(os.path.join(folder, "records.csv"), "w", encoding="utf-8", newline="") as target:
            writer = csv.writer(target)
            writer.writerow(["record_id", "text", "label"])
            writer.writerows((row["record_id"], row["text"], row["label"]) for row in rows)
        self.truth = {row["record_id"]: row["true_label"] for row in rows}
        self.given = {row["record_id"]: row["label"] for row in rows}

    def write(self, name, text):
        with open(os.path.join(self.folder, name), "w", encoding="utf-8", newline="") as file:
            file.write(text)

    def relabel(self, *arguments):
        done = subprocess.run([self.program, *arguments], cwd=self.folder, text=True,
                              capture_output=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"relabel {' '.join(arguments)} ended with {done.returncode}:\n{done.stderr}")
        return done.stdout

    def frame(self, node):
        text = self.relabel("show", node, "--as", "csv", "--limit", "0")
        return list(csv.DictReader(io.StringIO(text, newline="")))


def set_name(path):
    """`banking77/train_uniform20`: files of several sets have the same name."""
    folder, name = os.path.split(os.path.abspath(path))
    return f"{os.path.basename(folder)}/{name.split('.')[0]}"


def average_precision(quality, wrong):
    """Mean precision at each error, the most suspicious first; ties by place."""
    order = np.argsort(quality, kind="stable")
    hits = wrong[order]
    return float((np.cumsum(hits) / np.arange(1, len(hits) + 1))[hits].mean())


def at_errors(quality, wrong):
    order = np.argsort(quality, kind="stable")
    return float(wrong[order[:wrong.sum()]].mean())


def measures(quality, wrong):
    return {"average_precision": average_precision(quality, wrong), "precision": at_errors(quality, wrong)}


def ours(arguments, path):
    audit = AUDIT.format(classifier=arguments.classifier, weight="").replace("current", "valid")
    nodes = "".join(f"  {score}: {{kind: issues, input: oof, score: {score}}}\n" for score in SCORES)
    with tempfile.TemporaryDirectory() as folder:
        project = Project(folder, arguments.program, path, HEAD + audit + nodes)
        started = time.perf_counter()
        project.relabel("run")
        seconds = time.perf_counter() - started
        found = {}
        for score in SCORES:
            rows = project.frame(score)
            # A record without a usable text has no score: it comes last.
            quality = np.array([float(row["label_quality"] or 2.0) for row in rows])
            wrong = np.array([project.truth[row["record_id"]] != row["given_label"] for row in rows])
            found[score] = measures(quality, wrong)
    return {"who": "relabel", "seconds": seconds, "scores": found, "errors": int(wrong.sum()),
            "rows": len(rows)}


def theirs(path, c):
    import warnings
    from cleanlab.rank import get_label_quality_scores
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold
    warnings.filterwarnings("ignore")
    texts, labels, truth, classes = read(path)
    started = time.perf_counter()
    scores = np.zeros((len(texts), classes))
    split = StratifiedKFold(FOLDS, shuffle=True, random_state=SEED)
    for train, test in split.split(texts, labels):
        vectoriser = TfidfVectorizer(min_df=2)
        fitted = vectoriser.fit_transform([texts[row] for row in train])
        classifier = LogisticRegression(C=c, solver="saga", max_iter=50, tol=1e-3, random_state=SEED)
        classifier.fit(fitted, labels[train])
        scored = vectoriser.transform([texts[row] for row in test])
        scores[np.ix_(test, classifier.classes_)] = classifier.predict_proba(scored)
    found = {}
    for score in ["normalized_margin", "self_confidence", "confidence_weighted_entropy"]:
        safe = np.clip(scores, 1e-12, 1)
        safe /= safe.sum(1, keepdims=True)
        quality = get_label_quality_scores(labels, safe, method=score)
        found[score] = measures(quality, labels != truth)
    return {"who": f"cleanlab, C={c:g}", "seconds": time.perf_counter() - started, "scores": found,
            "errors": int((labels != truth).sum()), "rows": len(texts)}


def decide(project, item, errs, seed):
    """A decision by the truth; whether the reviewer errs depends on record and seed alone."""
    record, given, proposed = item["record_id"], item["given_label"], item["proposed_label"]
    true = project.truth[record]
    right = "accept" if proposed == true else "keep" if given == true else "other"
    draw = int.from_bytes(hashlib.sha256(f"{seed} {record}".encode()).digest()[:4], "big") / 2**32
    if draw < errs:
        # Who errs takes what should be left and leaves what should be taken.
        right = "keep" if right == "accept" else "accept"
    return [record, right, true if right == "other" else "", "bench", "2026-01-01T00:00:00Z", ""]


def effort(arguments, path, rounds, budget, name, weight, rank, errs):
    weight = f", verified_weight: {weight}" if weight != 1 else ""
    audit = AUDIT.format(classifier=arguments.classifier, weight=weight)
    decisions = "decisions: decided" if rank == "expected_quality" else ""
    pipeline = HEAD + LOOP.format(audit=audit, score=arguments.score, rank=rank, budget=budget,
                                  decisions=decisions)
    with tempfile.TemporaryDirectory() as folder:
        project = Project(folder, arguments.program, path, pipeline)
        errors = sum(project.truth[record] != label for record, label in project.given.items())
        reviewed, left = 0, [errors]
        for _ in range(rounds):
            project.relabel("run")
            queue = project.frame("queue")
            rows = [decide(project, item, errs, SEED) for item in queue]
            with open(os.path.join(folder, "decisions.csv"), "w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file)
                writer.writerow("record_id review_decision final_label reviewed_by reviewed_at note".split())
                writer.writerows(rows)
            project.relabel("review", "import", "decisions.csv")
            reviewed += len(rows)
            project.relabel("run", "--select", "+current")
            current = project.frame("current")
            left.append(sum(project.truth[row["record_id"]] != row["label"] for row in current))
    return {"who": name, "errs": errs, "reviewed": reviewed, "left": left, "errors": errors}


def report(row, out):
    out.write(json.dumps(row) + "\n")
    out.flush()
    print(json.dumps(row), file=sys.stderr)


def tables(rows):
    ranking = collections.defaultdict(dict)
    for row in rows:
        if row["part"] == "ranking":
            ranking[row["set"]][row["who"]] = row
    columns = [("relabel", score) for score in SCORES]
    peers = sorted({who for found in ranking.values() for who in found if who != "relabel"})
    columns += [(who, score) for who in peers for score in SCORES[:2]]
    for measure in ["average_precision", "precision"] if ranking else []:
        print(f"\n{measure}\n\n| set | " + " | ".join(f"{who}: {score}" for who, score in columns) + " |")
        print("| --- |" + " --: |" * len(columns))
        cells = lambda found: [found[who]["scores"][score][measure] for who, score in columns]
        whole = [(name, cells(found)) for name, found in sorted(ranking.items()) if len(found) == 1 + len(peers)]
        for name, values in whole + [("mean", np.mean([values for _, values in whole], axis=0))]:
            print(f"| {name} | " + " | ".join(f"{value:.3f}" for value in values) + " |")
    spent = collections.defaultdict(dict)
    for row in rows:
        if row["part"] == "effort":
            spent[row["set"], row["errs"]][row["who"]] = row
    names = list(dict.fromkeys(row["who"] for row in rows if row["part"] == "effort"))
    if spent:
        print("\nerrors left\n\n| set | reviewer errs | errors | " + " | ".join(names) + " |")
        print("| --- | --: | --: |" + " --: |" * len(names))
        shares = []
        for (name, errs), found in sorted(spent.items()):
            errors = next(iter(found.values()))["errors"]
            shown = [f"{found[who]['left'][-1]} ({found[who]['reviewed']})" if who in found else "" for who in names]
            print(f"| {name} | {errs:.0%} | {errors} | " + " | ".join(shown) + " |")
            if len(found) == len(names):
                shares.append([found[who]["left"][-1] / max(found[names[0]]["left"][-1], 1) for who in names])
        if shares:
            print("| mean share of the first | | | " + " | ".join(f"{v:.2f}" for v in np.mean(shares, axis=0)) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="*")
    parser.add_argument("--program", default="target/release/relabel")
    parser.add_argument("--classifier", default="{plugin: linear}", help="as in a pipeline file")
    parser.add_argument("--score", default="normalized_margin", help="score that rounds rank by")
    parser.add_argument("--parts", nargs="*", default=["ranking", "effort"])
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--budget", type=int, default=250)
    parser.add_argument("--errs", nargs="*", type=float, default=[0.0, 0.05])
    parser.add_argument("--weights", nargs="*", type=float, default=[], help="verified weights to try too")
    parser.add_argument("--c", nargs="*", type=float, default=[1.0], help="scikit-learn's C")
    parser.add_argument("--out", default="audit.jsonl")
    parser.add_argument("--table", help="print the tables of a file of results and stop")
    arguments = parser.parse_args()
    if arguments.table:
        with open(arguments.table, encoding="utf-8") as file:
            return tables([json.loads(line) for line in file])
    rows = []
    with open(arguments.out, "a", encoding="utf-8") as out:
        def add(part, path, row):
            rows.append({"part": part, "set": set_name(path), **row})
            report(rows[-1], out)
        for path in arguments.files:
            if "ranking" in arguments.parts:
                add("ranking", path, ours(arguments, path))
                for c in arguments.c:
                    add("ranking", path, theirs(path, c))
            if "effort" not in arguments.parts:
                continue
            with (gzip.open if path.endswith(".gz") else open)(path, "rt", encoding="utf-8", newline="") as file:
                rows_there = sum(1 for _ in csv.DictReader(file))
            # Reviewing most of a small set would tell nothing of the order.
            budget = min(arguments.budget, rows_there // (5 * arguments.rounds))
            total = arguments.rounds * budget
            for errs in arguments.errs:
                add("effort", path, effort(arguments, path, 1, total, "one round", 1, "label_quality", errs))
                rounds = f"{arguments.rounds} rounds"
                add("effort", path, effort(arguments, path, arguments.rounds, budget, rounds, 1,
                                           "label_quality", errs))
                add("effort", path, effort(arguments, path, arguments.rounds, budget,
                                           rounds + ", learnt rank", 1, "expected_quality", errs))
                for weight in arguments.weights:
                    add("effort", path, effort(arguments, path, arguments.rounds, budget,
                                               f"{rounds}, weight {weight:g}", weight, "label_quality", errs))
    tables(rows)


main()
