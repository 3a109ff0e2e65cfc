#!/usr/bin/env python3
"""The classifier plugin `@NAME@`: words vote with their class shares. See README.md."""

import relabel_plugin as relabel  # first: it keeps stdout for answers

import re
import zlib

import numpy as np

# Words are told apart by a hash below this; one bucket more holds the shares of all rows.
BUCKETS = 1 << 12


class WordVotes(relabel.Plugin):
    name = "@NAME@"
    version = "0.1.0"
    description = "Words vote with their class shares"
    licence = "MIT OR Apache-2.0"
    capabilities = ("weights", "columns")
    params = {
        "smoothing": {
            "description": "Rows that each word is thought to have had in each class.",
            "type": "number",
            "exclusiveMinimum": 0,
            "default": 0.25,
        },
    }

    def prepare(self, texts, params, threads, columns):
        buckets = []
        for row, text in enumerate(texts):
            words = set(re.findall(r"\w+", text.lower()))
            words.update(f"{name}={values[row]}" for name, values in columns.items())
            hashes = sorted({zlib.crc32(word.encode()) % BUCKETS for word in words})
            buckets.append(np.array(hashes + [BUCKETS], dtype=np.int64))
        return buckets, params["smoothing"]

    def fit(self, corpus, rows, labels, weights, class_count, seed, threads):
        buckets, smoothing = corpus
        votes = np.full((BUCKETS + 1, class_count), smoothing, dtype=np.float64)
        if weights is None:
            weights = np.ones(len(rows))
        for row, label, weight in zip(rows, labels, weights):
            votes[buckets[row], label] += weight
        return votes / votes.sum(axis=1, keepdims=True)

    def predict(self, corpus, model, rows, threads):
        buckets, _ = corpus
        scores = np.zeros((len(rows), model.shape[1]))
        for n, row in enumerate(rows):
            scores[n] = model[buckets[row]].mean(axis=0)
        return scores

    def save(self, model):
        return model.astype("<f8").tobytes()

    def load(self, data, class_count):
        if len(data) != 8 * (BUCKETS + 1) * class_count:
            raise relabel.PluginError("the saved model has another size")
        return np.frombuffer(data, "<f8").reshape(BUCKETS + 1, class_count)


relabel.run(WordVotes())
