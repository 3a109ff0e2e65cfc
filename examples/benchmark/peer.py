"""Out-of-fold probabilities by a peer, for comparison; one configuration a process.

    python peer.py FILE.csv[.gz] CLASSIFIER [--c 1.0] [--alpha 0.3] [--once] [--folds-run 5]

CLASSIFIER: saga, lbfgs, sgd, mnb, cnb (scikit-learn on TF-IDF of words in at least two training
texts, other settings its defaults) or fasttext (one epoch, dimension 10, learning rate 0.5).
The vectoriser is fitted on the training rows of each fold, as it should be; --once fits it on
everything, which is faster and lets it see the held-out texts. --folds-run N runs N of the five folds and
scales the time. Prints one JSON object of the same shape as the example `benchmark` of
plugin-host. Seconds leave out start-up, imports and reading the file.
"""
import argparse
import csv
import gzip
import json
import os
import resource
import sys
import tempfile
import time
import warnings

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np

FOLDS = 5
SEED = 42


def read(path):
    csv.field_size_limit(1 << 30)
    opened = gzip.open(path, "rt", encoding="utf-8", newline="") if path.endswith(".gz") else open(
        path, encoding="utf-8", newline="")
    with opened as file:
        rows = list(csv.DictReader(file))
    texts = [row["text"] for row in rows]
    labels = [row["label"] for row in rows]
    truth = [row["true_label"] for row in rows] if "true_label" in rows[0] else None
    names = sorted(set(labels) | set(truth or []))
    index = {name: number for number, name in enumerate(names)}
    number = lambda values: np.array([index[value] for value in values])
    return texts, number(labels), None if truth is None else number(truth), len(names)


def pipeline(arguments):
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression, SGDClassifier
    from sklearn.naive_bayes import ComplementNB, MultinomialNB
    classifier = {
        "saga": lambda: LogisticRegression(C=arguments.c, solver="saga", max_iter=50, tol=1e-3,
                                           random_state=SEED),
        "lbfgs": lambda: LogisticRegression(C=arguments.c, max_iter=200),
        "sgd": lambda: SGDClassifier(loss="log_loss", alpha=arguments.alpha or 1e-5,
                                     random_state=SEED),
        "mnb": lambda: MultinomialNB(alpha=arguments.alpha or 0.1),
        "cnb": lambda: ComplementNB(alpha=arguments.alpha or 0.3),
    }[arguments.classifier]
    return TfidfVectorizer(min_df=2), classifier()


def scikit_learn(arguments, texts, labels, classes, folds, run):
    scores = np.zeros((len(texts), classes), dtype=np.float64)
    once = None
    started = time.perf_counter()
    if arguments.once:
        once = pipeline(arguments)[0].fit_transform(texts)
    shared = time.perf_counter() - started
    for fold in run:
        train, test = np.where(folds != fold)[0], np.where(folds == fold)[0]
        vectoriser, classifier = pipeline(arguments)
        if once is None:
            fitted = vectoriser.fit_transform([texts[row] for row in train])
            scored = vectoriser.transform([texts[row] for row in test])
        else:
            fitted, scored = once[train], once[test]
        classifier.fit(fitted, labels[train])
        scores[np.ix_(test, classifier.classes_)] = classifier.predict_proba(scored)
    seconds = time.perf_counter() - started
    return scores, shared + (seconds - shared) * FOLDS / len(run)


def fasttext(arguments, texts, labels, classes, folds, run):
    """Files of lower-cased tokens are written first and not counted."""
    import re
    import fasttext as peer
    words = [" ".join(re.findall(r"\w\w+", text.lower())) for text in texts]
    scores = np.full((len(texts), classes), 1e-9)
    seconds = 0.0
    for fold in run:
        train, test = np.where(folds != fold)[0], np.where(folds == fold)[0]
        with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
            for row in train:
                file.write(f"__label__{labels[row]} {words[row]}\n")
            file.flush()
            for rate in (0.5, 0.1, 0.02):
                started = time.perf_counter()
                try:
                    model = peer.train_supervised(file.name, dim=10, epoch=1, lr=rate, thread=2,
                                                  bucket=0, minn=0, maxn=0, verbose=0)
                    break
                except RuntimeError as error:  # it ends with NaN at times; such a try is not counted
                    model, problem = None, error
            if model is None:
                raise problem
            # `predict` of 0.9.3 does not work with numpy 2.
            lines = [words[row] + "\n" for row in test]
            found, chances = model.f.multilinePredict(lines, classes, 0.0, "strict")
            seconds += time.perf_counter() - started
        for row, names, values in zip(test, found, chances):
            numbers = [int(name[len("__label__"):]) for name in names]
            scores[row, numbers] = values
    scores /= scores.sum(1, keepdims=True)
    return scores, seconds * FOLDS / len(run)


def quality(scores, labels):
    best = scores.argmax(1)
    confidence = scores.max(1)
    hits = best == labels
    bins = np.minimum((confidence * 15).astype(int), 14)
    off = sum(abs((hits[bins == b] - confidence[bins == b]).sum()) for b in range(15))
    own = np.clip(scores[np.arange(len(labels)), labels], 1e-15, 1)
    return {"accuracy": float(hits.mean()), "log_loss": float(-np.log(own).mean()),
            "calibration_error": float(off / len(labels)), "disagree": int((~hits).sum()),
            "disagree_above_0.9": int((~hits & (confidence > 0.9)).sum())}


def average_precision(scores, labels, wrong):
    own = scores[np.arange(len(labels)), labels]
    ordered = wrong[np.argsort(own, kind="stable")]
    found = np.cumsum(ordered)
    places = np.where(ordered)[0]
    return float((found[places] / (places + 1)).mean()) if len(places) else 0.0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("classifier")
    parser.add_argument("--c", type=float, default=1.0)
    parser.add_argument("--alpha", type=float)
    parser.add_argument("--once", action="store_true")
    parser.add_argument("--folds-run", type=int, default=FOLDS)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    from sklearn.model_selection import StratifiedKFold
    texts, labels, truth, classes = read(arguments.file)
    folds = np.zeros(len(labels), dtype=int)
    split = StratifiedKFold(FOLDS, shuffle=True, random_state=SEED)
    for fold, (_, test) in enumerate(split.split(labels, labels)):
        folds[test] = fold
    run = range(arguments.folds_run)
    work = fasttext if arguments.classifier == "fasttext" else scikit_learn
    cpu = time.process_time()
    scores, seconds = work(arguments, texts, labels, classes, folds, run)
    report = {
        "file": arguments.file, "peer": arguments.classifier, "c": arguments.c,
        "once": arguments.once, "folds_run": len(run), "rows": len(labels), "classes": classes,
        "seconds": seconds, "cpu_seconds": (time.process_time() - cpu) * FOLDS / len(run),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    seen = np.isin(folds, list(run))
    report["given"] = quality(scores[seen], labels[seen])
    if truth is not None:
        report["truth"] = quality(scores[seen], truth[seen])
        report["average_precision"] = average_precision(
            scores[seen], labels[seen], (truth != labels)[seen])
    json.dump(report, sys.stdout)
    print()


if __name__ == "__main__":
    main()
