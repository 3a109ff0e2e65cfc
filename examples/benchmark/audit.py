"""How well wrong labels are found, and how far a reviewer's work goes; beside scikit-learn and cleanlab.

    cargo build --release
    VENV/bin/python examples/benchmark/audit.py --out audit.jsonl FILE.csv.gz ...

FILE has the columns record_id, text, label and true_label. VENV has numpy, scikit-learn and cleanlab.

Part `ranking`: average precision, and precision at the number of true errors, of each score of `issues`
on out-of-fold probabilities of `linear` (also with parameters it chooses itself) and of an ensemble, and of cleanlab's scores on those of
scikit-learn's TF-IDF and logistic regression (vectoriser fitted per fold; five stratified folds on both
sides).

Part `effort`: errors left after --rounds rounds of --budget reviews each, and after one round with as
many reviews (at most --share of the records in all), ours or cleanlab's, by a reviewer who looks at the
truth and errs in a share of --errs of the records. Decisions go in by `relabel review import`. The first number of errors left counts labels in the cleaned data that
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

SCORES = ["label_posterior", "normalized_margin", "self_confidence", "threshold_log_ratio",
          "confidence_weighted_entropy"]
PEER_SCORES = ["normalized_margin", "self_confidence", "confidence_weighted_entropy"]
# The ensemble: four models that err on different records.
MODELS = {
    "linear": ["{plugin: linear}"],
    "linear, auto": ["{plugin: linear, params: auto}"],
    "ensemble": ["{plugin: linear, params: auto}", "{plugin: linear, params: {word_ngrams: 2}}",
                 "{plugin: linear, params: {char_ngrams: [3, 5]}}", "{plugin: complement-nb}"],
}

HEAD = """version: 1
name: bench
nodes:
  records: {kind: source, path: records.csv}
  valid: {kind: validate, input: records, text: {min_chars: 1, max_chars: 1000000}}
"""

FOLDS_NODE = "  folds: {{kind: kfold, input: {records}, k: 5, seed: 42}}\n"
PREDICT = "  {name}: {{kind: predict, input: folds, classifier: {classifier}{weight}}}\n"

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


def predictions(records, classifiers, weight=1.0):
    """The nodes up to `oof`: folds, and one model or several combined."""
    more = f", verified_weight: {weight:g}" if weight != 1 else ""
    names = ["oof"] if len(classifiers) == 1 else [f"model_{n}" for n in range(len(classifiers))]
    nodes = [FOLDS_NODE.format(records=records)]
    nodes += [PREDICT.format(name=name, classifier=classifier, weight=more)
              for name, classifier in zip(names, classifiers)]
    if len(names) > 1:
        nodes.append(f"  oof: {{kind: combine, input: [{', '.join(names)}]}}\n")
    return "".join(nodes)


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


def ours(arguments, path, name, classifiers):
    audit = predictions("valid", classifiers)
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
    return {"who": name, "seconds": seconds, "scores": found, "errors": int(wrong.sum()),
            "rows": len(rows)}


def peer_probabilities(path, c):
    """Out-of-fold probabilities of scikit-learn, with labels and truth."""
    import warnings
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold
    warnings.filterwarnings("ignore")
    texts, labels, truth, classes = read(path)
    scores = np.zeros((len(texts), classes))
    split = StratifiedKFold(FOLDS, shuffle=True, random_state=SEED)
    for train, test in split.split(texts, labels):
        vectoriser = TfidfVectorizer(min_df=2)
        fitted = vectoriser.fit_transform([texts[row] for row in train])
        classifier = LogisticRegression(C=c, solver="saga", max_iter=50, tol=1e-3, random_state=SEED)
        classifier.fit(fitted, labels[train])
        scored = vectoriser.transform([texts[row] for row in test])
        scores[np.ix_(test, classifier.classes_)] = classifier.predict_proba(scored)
    scores = np.clip(scores, 1e-12, 1)
    return scores / scores.sum(1, keepdims=True), labels, truth


def theirs(path, c, parts, reviews):
    """Rows of results for the parts: how well cleanlab's scores rank, and errors left after one round."""
    from cleanlab.rank import get_label_quality_scores
    started = time.perf_counter()
    scores, labels, truth = peer_probabilities(path, c)
    wrong = labels != truth
    quality = {score: get_label_quality_scores(labels, scores, method=score) for score in PEER_SCORES}
    name, errors = f"cleanlab, C={c:g}", int(wrong.sum())
    if "ranking" in parts:
        found = {score: measures(values, wrong) for score, values in quality.items()}
        yield "ranking", {"who": name, "seconds": time.perf_counter() - started, "scores": found,
                          "errors": errors, "rows": len(labels)}
    if "effort" in parts:
        for score in PEER_SCORES[:2]:
            first = np.argsort(quality[score], kind="stable")[:reviews]
            yield "effort", {"who": f"one round, {name}, {score}", "errs": 0.0, "reviewed": reviews,
                             "left": [errors, errors - int(wrong[first].sum())], "errors": errors}


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


def effort(arguments, path, classifiers, rounds, budget, name, weight, rank, errs):
    audit = predictions("current", classifiers, weight)
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


def table(head, lines):
    print("\n| " + " | ".join(head) + " |")
    print("| --- |" + " --: |" * (len(head) - 1))
    for line in lines:
        print("| " + " | ".join(line) + " |")


def ranking_tables(rows):
    found = collections.defaultdict(dict)
    for row in rows:
        for score, values in row["scores"].items():
            found[row["set"]][row["who"], score] = values
    columns = list(dict.fromkeys(column for cells in found.values() for column in cells))
    whole = {name: cells for name, cells in sorted(found.items()) if len(cells) == len(columns)}
    for measure in ["average_precision", "precision"]:
        values = {name: [cells[column][measure] for column in columns] for name, cells in whole.items()}
        values["mean"] = np.mean(list(values.values()), axis=0)
        print(f"\n{measure}")
        table(["set"] + [f"{who}: {score}" for who, score in columns],
              [[name] + [f"{value:.3f}" for value in cells] for name, cells in values.items()])
        theirs = [n for n, (who, _) in enumerate(columns) if who.startswith("cleanlab")]
        if not theirs:
            continue
        lines = []
        for n, (who, score) in enumerate(columns):
            if n in theirs or score != SCORES[0]:
                continue
            for name, others in [(f"{columns[m][0]}: {columns[m][1]}", [m]) for m in theirs] + [
                    ("the best of cleanlab's on each set", theirs)]:
                ahead = [cells[n] - max(cells[m] for m in others) for cells in list(values.values())[:-1]]
                lines.append([f"{who} against {name}", f"{np.mean(ahead):+.3f}", f"{min(ahead):+.3f}"])
        table([f"{measure} of {SCORES[0]}", "mean", "worst set"], lines)


def effort_tables(rows):
    spent = collections.defaultdict(dict)
    for row in rows:
        spent[row["errs"], row["set"]][row["who"]] = row
    for errs in sorted({errs for errs, _ in spent}):
        names = list(dict.fromkeys(row["who"] for row in rows if row["errs"] == errs))
        whole = {name: cells for (share, name), cells in sorted(spent.items())
                 if share == errs and len(cells) == len(names)}
        print(f"\nerrors left; the reviewer errs in {errs:.0%}")
        lines, shares = [], []
        for name, cells in whole.items():
            left = [cells[who]["left"][-1] for who in names]
            first = next(iter(cells.values()))
            lines.append([name, str(first["errors"]), str(first["reviewed"])] + [str(n) for n in left])
            shares.append([[n / max(other, 1) for other in left] for n in left])
        table(["set", "errors", "reviews"] + names, lines)
        if shares:
            # How many are left, as a share of what another way leaves, on the mean over the sets.
            table(["as a share of"] + names,
                  [[names[m]] + [f"{value:.2f}" for value in np.mean(shares, axis=0)[:, m]]
                   for m in range(len(names))])


def tables(rows):
    for part, show in [("ranking", ranking_tables), ("effort", effort_tables)]:
        chosen = [row for row in rows if row["part"] == part]
        if chosen:
            show(chosen)


def efforts(arguments, path, budget):
    """Every way of reviewing `rounds` times `budget` records, with each of our models."""
    one, many = "one round", f"{arguments.rounds} rounds"
    ways = [(one, 1, "label_quality"), (many, 1, "label_quality"),
            (many + ", learnt rank", 1, "expected_quality")]
    ways += [(f"{many}, weight {weight:g}", weight, "label_quality") for weight in arguments.weights]
    for errs in arguments.errs:
        for model in arguments.models:
            for name, weight, rank in ways:
                rounds, size = (1, arguments.rounds * budget) if name == one else (arguments.rounds, budget)
                yield effort(arguments, path, MODELS[model], rounds, size, f"{model}, {name}", weight, rank,
                             errs)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="*")
    parser.add_argument("--program", default="target/release/relabel")
    parser.add_argument("--models", nargs="*", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--score", default=SCORES[0], help="score that rounds rank by")
    parser.add_argument("--parts", nargs="*", default=["ranking", "effort"])
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--budget", type=int, default=250)
    parser.add_argument("--share", type=float, default=0.2, help="of the records, reviewed at most")
    parser.add_argument("--errs", nargs="*", type=float, default=[0.0, 0.05])
    parser.add_argument("--weights", nargs="*", type=float, default=[], help="verified weights to try too")
    parser.add_argument("--c", nargs="*", type=float, default=[1.0], help="scikit-learn's C; none leaves the peers out")
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
            with (gzip.open if path.endswith(".gz") else open)(path, "rt", encoding="utf-8", newline="") as file:
                rows_there = sum(1 for _ in csv.DictReader(file))
            # Reviewing most of a small set would tell nothing of the order.
            budget = min(arguments.budget, int(arguments.share * rows_there) // arguments.rounds)
            if "ranking" in arguments.parts:
                for model in arguments.models:
                    add("ranking", path, ours(arguments, path, model, MODELS[model]))
            for c in arguments.c:
                for part, row in theirs(path, c, arguments.parts, arguments.rounds * budget):
                    add(part, path, row)
            if "effort" in arguments.parts:
                for row in efforts(arguments, path, budget):
                    add("effort", path, row)
    tables(rows)


main()
