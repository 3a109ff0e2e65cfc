"""The plugin's side of relabel's wire protocol: derive from `Plugin`, call `run`.

relabel starts the program and sends requests on its stdin; answers go to its stdout. Each message
is one Arrow IPC stream, whose schema has a JSON header under the key `relabel`. This module reads
and writes them, checks what can be checked, and knows nothing of any classifier.

Import it before anything else: it keeps stdout for answers alone (what anybody prints goes to
stderr from then on), and keeps numerical libraries to one thread, so that the same input gives the
same bytes on every machine. It needs numpy and pyarrow.
"""

import hashlib
import json
import os
import sys
import traceback

# The answers' own descriptor; everything else that writes to stdout is led to stderr.
_answers = os.fdopen(os.dup(1), "wb")
os.dup2(2, 1)
sys.stdout = sys.stderr
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402
import pyarrow as pa  # noqa: E402

PROTOCOL = 1
_MAGIC = b"RLPYMDL1"
_EMPTY = pa.schema([])


class PluginError(Exception):
    """Raise it to say no in words for the user: a lower-case fragment without a full stop."""

    status = "failed"


class _InvalidArgument(PluginError):
    status = "invalid-argument"


class Plugin:
    """A classifier. Override the fields and all methods but `describe`."""

    # The word in a pipeline file: a-z, 0-9 and `-`.
    name = ""
    # MAJOR.MINOR.PATCH; raise it whenever the plugin computes something else.
    version = "0.1.0"
    description = ""
    # An SPDX expression.
    licence = ""
    # `weights` if `fit` heeds them; `columns` if `prepare` reads more than texts; `reference` if
    # others are measured against this plugin.
    capabilities = ()
    # JSON Schema by parameter, each with `description` and `default`; no others are accepted.
    params = {}

    def prepare(self, texts, params, threads):
        """Returns a corpus, anything: label-free work on a list of str, done once for all folds.

        `params` has every default filled in. With the capability `columns` there is one argument
        more, a dict from the name of each further column to a numpy array of float64 (NaN where
        there is no value) or a list of str (empty where there is none).
        """
        raise NotImplementedError

    def fit(self, corpus, rows, labels, weights, class_count, seed, threads):
        """Returns a model, anything, learnt from these rows of the corpus alone.

        `rows` and `labels` (below `class_count`) are numpy arrays of equal length, which may be 0;
        `weights` is one too, or None. A class may have no row. The model must not refer to the
        corpus. The same arguments give the same model, on any number of threads.
        """
        raise NotImplementedError

    def predict(self, corpus, model, rows, threads):
        """Returns an array of probabilities [rows, classes]; each row sums to 1.

        The corpus may be another one than the model was fitted on.
        """
        raise NotImplementedError

    def save(self, model):
        """Returns bytes for `load`. This module adds the plugin's name and a checksum."""
        raise NotImplementedError

    def load(self, data, class_count):
        """Returns a model from what `save` gave. Never unpickle here: a model file may come from
        anybody, and reading a pickle runs what is in it."""
        raise NotImplementedError


def run(plugin):
    """Answers requests until relabel closes stdin."""
    _Server(plugin).serve(sys.stdin.buffer)


class _Server:
    def __init__(self, plugin):
        self.plugin = plugin
        self.corpora = {}  # id -> (number of texts, corpus)
        self.models = {}  # id -> (class count, model)

    def serve(self, requests):
        while requests.peek(1):
            header, columns = _read(requests)
            answer, table = {"request": header["request"], "status": "ok"}, None
            try:
                operation = getattr(self, "_" + header["operation"], None)
                if operation is None:
                    raise _InvalidArgument(f"there is no operation `{header['operation']}`")
                more, table = operation(header, columns)
                answer.update(more)
            except PluginError as error:
                answer.update(status=error.status, message=str(error))
            except MemoryError:
                answer.update(status="failed", message="out of memory")
            except Exception as error:  # whatever it is, relabel is told and the rest goes on
                traceback.print_exc()
                answer.update(status="panicked", message=f"{type(error).__name__}: {error}")
            _write(answer, table)

    def _describe(self, header, columns):
        plugin = self.plugin
        schema = {"type": "object", "properties": plugin.params, "additionalProperties": False}
        return {
            "protocol": min(PROTOCOL, header["protocol"]),
            "name": plugin.name,
            "version": plugin.version,
            "description": plugin.description,
            "licence": plugin.licence,
            "capabilities": list(plugin.capabilities),
            "params_schema": schema,
        }, None

    def _prepare(self, header, columns):
        texts = columns.column("text").to_pylist()
        arguments = [texts, header["params"], header["threads"]]
        if "columns" in self.plugin.capabilities:
            arguments.append(_further(columns))
        corpus = self.plugin.prepare(*arguments)
        self.corpora[header["corpus"]] = (len(texts), corpus)
        return {}, None

    def _fit(self, header, columns):
        count, corpus = self._corpus(header)
        class_count = header["class_count"]
        rows = _values(columns, "rows", count)
        labels = _values(columns, "labels", class_count)
        weights = None
        if "weights" in columns.schema.names:
            weights = columns.column("weights").to_numpy()
        seed, threads = header["seed"], header["threads"]
        model = self.plugin.fit(corpus, rows, labels, weights, class_count, seed, threads)
        self.models[header["model"]] = (class_count, model)
        return {}, None

    def _predict(self, header, columns):
        count, corpus = self._corpus(header)
        class_count, model = self._model(header)
        rows = _values(columns, "rows", count)
        scores = self.plugin.predict(corpus, model, rows, header["threads"])
        scores = np.ascontiguousarray(scores, dtype=np.float32)
        if scores.shape != (len(rows), class_count):
            wanted = (len(rows), class_count)
            raise PluginError(f"the scores have shape {scores.shape}, not {wanted}")
        values = pa.array(scores.reshape(-1))
        lists = pa.FixedSizeListArray.from_arrays(values, class_count)
        return {}, pa.record_batch([lists], names=["scores"])

    def _save(self, header, columns):
        class_count, model = self._model(header)
        data = _frame(self.plugin.name, class_count, self.plugin.save(model))
        return {}, pa.record_batch([pa.array([data], pa.large_binary())], names=["bytes"])

    def _load(self, header, columns):
        data = columns.column("bytes")[0].as_py()
        class_count, data = _unframe(self.plugin.name, data)
        self.models[header["model"]] = (class_count, self.plugin.load(data, class_count))
        return {"class_count": class_count}, None

    def _release(self, header, columns):
        self.corpora.pop(header.get("corpus"), None)
        self.models.pop(header.get("model"), None)
        return {}, None

    def _corpus(self, header):
        if header["corpus"] not in self.corpora:
            raise _InvalidArgument(f"there is no corpus {header['corpus']}")
        return self.corpora[header["corpus"]]

    def _model(self, header):
        if header["model"] not in self.models:
            raise _InvalidArgument(f"there is no model {header['model']}")
        return self.models[header["model"]]


def _values(columns, name, limit):
    values = columns.column(name).to_numpy()
    if len(values) and values.max() >= limit:
        raise _InvalidArgument(f"column `{name}` has {values.max()}, of {limit}")
    return values


def _further(columns):
    """The columns beside the text, of the types there are; others are not known, and left out."""
    further = {}
    for field, column in zip(columns.schema, columns.columns):
        if field.type == pa.float64():
            further[field.name] = column.to_numpy()
        elif field.type == pa.large_string() and field.name != "text":
            further[field.name] = column.to_pylist()
    return further


def _read(requests):
    """One message: its header and its columns, all batches joined."""
    with pa.ipc.open_stream(requests) as stream:
        header = json.loads(stream.schema.metadata[b"relabel"])
        # To the end of the stream, so that the next byte is the next message's first.
        table = stream.read_all()
    return header, table.combine_chunks()


def _write(header, batch=None):
    schema = _EMPTY if batch is None else batch.schema
    schema = schema.with_metadata({"relabel": json.dumps(header)})
    with pa.ipc.new_stream(_answers, schema) as stream:
        if batch is not None:
            stream.write_batch(batch.replace_schema_metadata(schema.metadata))
    _answers.flush()


def _frame(name, class_count, data):
    """Magic, name, class count and a SHA-256 of all, so that load knows its own."""
    head = bytes([len(name)]) + name.encode() + class_count.to_bytes(4, "little")
    return _MAGIC + hashlib.sha256(head + data).digest() + head + data


def _unframe(name, data):
    digest, rest = data[len(_MAGIC) : len(_MAGIC) + 32], data[len(_MAGIC) + 32 :]
    if not data.startswith(_MAGIC) or not rest:
        raise PluginError("these bytes are no saved model")
    if hashlib.sha256(rest).digest() != digest:
        raise PluginError("the saved model is damaged or cut short")
    end = 1 + rest[0]
    if rest[1:end] != name.encode():
        other = rest[1:end].decode(errors="replace")
        raise PluginError(f"the saved model is one of plugin `{other}`")
    return int.from_bytes(rest[end : end + 4], "little"), rest[end + 4 :]
