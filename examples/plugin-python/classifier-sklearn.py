#!/usr/bin/env python3
"""The plugin `sklearn`: scikit-learn's TF-IDF and logistic regression. See README.md."""

import relabel_plugin as relabel  # first: it keeps stdout for answers

import io
import json

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression


class Sklearn(relabel.Plugin):
    name = "sklearn"
    description = "Logistic regression of scikit-learn on TF-IDF of words"
    licence = "MIT OR Apache-2.0"
    capabilities = ("weights",)
    params = {
        "C": {"type": "number", "exclusiveMinimum": 0, "default": 5.0,
              "description": "Inverse strength of the L2 penalty."},
        "word_ngrams": {"type": "integer", "minimum": 1, "maximum": 3, "default": 1,
                        "description": "Longest run of words that is a feature."},
    }

    def prepare(self, texts, params, threads):
        return texts, params  # everything else is learnt from the training rows

    def fit(self, corpus, rows, labels, weights, class_count, seed, threads):
        texts, params = corpus
        shares = np.bincount(labels, weights, minlength=class_count) + 1.0
        model = {"vocabulary": {}, "ngrams": params["word_ngrams"], "classes": np.unique(labels),
                 "idf": np.zeros(0), "coef": None, "intercept": np.log(shares / shares.sum())}
        vectors = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, params["word_ngrams"]))
        try:
            features = vectors.fit_transform([texts[row] for row in rows])
        except ValueError:  # no text has a word
            features = None
        if features is None or len(model["classes"]) < 2:
            model["classes"] = np.arange(class_count)  # nothing to tell apart: the class shares
            model["coef"] = np.zeros((class_count, 0))
            return model
        regression = LogisticRegression(C=params["C"], max_iter=1000, random_state=seed % 2**32)
        regression.fit(features, labels, sample_weight=weights)
        model.update(vocabulary={word: int(n) for word, n in vectors.vocabulary_.items()},
                     idf=vectors.idf_, coef=regression.coef_, intercept=regression.intercept_)
        if len(model["coef"]) == 1:  # two classes have one row of coefficients
            model["coef"] = np.vstack([0.0 * model["coef"], model["coef"]])
            model["intercept"] = np.append(0.0, model["intercept"])
        return dict(model, count=class_count)

    def predict(self, corpus, model, rows, threads):
        texts, _ = corpus
        logits = np.tile(model["intercept"], (len(rows), 1))
        if model["vocabulary"] and len(rows):
            vectors = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, model["ngrams"]),
                                      vocabulary=model["vocabulary"])
            vectors.idf_ = model["idf"]
            logits += vectors.transform([texts[row] for row in rows]) @ model["coef"].T
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        scores = np.zeros((len(rows), model.get("count", len(model["classes"]))))
        scores[:, model["classes"]] = odds / odds.sum(axis=1, keepdims=True)
        return scores

    def save(self, model):
        arrays = {name: model[name] for name in ("classes", "idf", "coef", "intercept")}
        words = json.dumps([model["vocabulary"], model["ngrams"]], sort_keys=True)
        file = io.BytesIO()
        np.savez(file, words=np.frombuffer(words.encode(), np.uint8), **arrays)
        return file.getvalue()

    def load(self, data, class_count):
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            model = dict(file, count=class_count)
        model["vocabulary"], model["ngrams"] = json.loads(model.pop("words").tobytes())
        return model


relabel.run(Sklearn())
