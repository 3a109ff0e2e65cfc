/*
 * The boundary between `relabel` and a classifier plugin, version 1.
 *
 * A plugin is a shared library that exports one symbol, relabel_classifier_entry. Host and plugin
 * share this header and nothing else. examples/plugin-c holds a whole plugin.
 *
 * Rules that hold for every function:
 *
 *   - Threads. A table may be called from several threads at once, with the same state, corpus and
 *     model. The release functions are called once per handle, when no other call uses it.
 *   - Errors. Anything but RELABEL_OK is a failure. A plugin may then fill `error`, which the host
 *     has zeroed; out-parameters are ignored and must own nothing.
 *   - Exceptions. Nothing may unwind or longjmp out of a function of the plugin.
 *   - Text is UTF-8. `char *` ends with NUL.
 *   - Borrowed means: valid until the call returns; do not keep, do not free, do not release.
 *     Owned means: whoever received it calls its `release` once.
 *   - The library is never unloaded, so static data and thread-local destructors are safe.
 *   - Same input, seed and parameters give the same bytes, for any `threads`.
 *
 * Growth: a struct that crosses the boundary only ever gains fields at its end, and each version of
 * this header adds to RELABEL_ABI_VERSION. The host asks for a version; the plugin fills the fields
 * of that version and no others, or answers RELABEL_UNSUPPORTED_VERSION.
 */
#ifndef RELABEL_PLUGIN_H
#define RELABEL_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RELABEL_ABI_VERSION 1

#if defined(_WIN32)
#define RELABEL_EXPORT __declspec(dllexport)
#else
#define RELABEL_EXPORT __attribute__((visibility("default")))
#endif

/* ---- The Arrow C data interface, as published by Apache Arrow -------------------------------- */

#ifndef ARROW_C_DATA_INTERFACE
#define ARROW_C_DATA_INTERFACE

#define ARROW_FLAG_DICTIONARY_ORDERED 1
#define ARROW_FLAG_NULLABLE 2
#define ARROW_FLAG_MAP_KEYS_SORTED 4

struct ArrowSchema {
  const char *format;
  const char *name;
  const char *metadata;
  int64_t flags;
  int64_t n_children;
  struct ArrowSchema **children;
  struct ArrowSchema *dictionary;
  void (*release)(struct ArrowSchema *);
  void *private_data;
};

struct ArrowArray {
  int64_t length;
  int64_t null_count;
  int64_t offset;
  int64_t n_buffers;
  int64_t n_children;
  const void **buffers;
  struct ArrowArray **children;
  struct ArrowArray *dictionary;
  void (*release)(struct ArrowArray *);
  void *private_data;
};

#endif /* ARROW_C_DATA_INTERFACE */

/* ---- Status and error ------------------------------------------------------------------------ */

typedef int32_t relabel_status;

#define RELABEL_OK 0
/* The operation could not be done; `error` says why in words for the user. */
#define RELABEL_FAILED 1
/* is_cancelled said so, and the plugin stopped. */
#define RELABEL_CANCELLED 2
/* The entry function does not know the version it was asked for. */
#define RELABEL_UNSUPPORTED_VERSION 3
/* The host broke this contract: null pointer, wrong Arrow type, row out of range. */
#define RELABEL_INVALID_ARGUMENT 4
/* The plugin panicked or found itself broken; the host calls this table no more. */
#define RELABEL_PANICKED 5

struct relabel_error {
  /* Owned by whoever holds the struct; NULL if there is nothing to say. */
  char *message;
  void *private_data;
  /* Frees message and private_data and sets release to NULL; NULL if there is nothing to free. */
  void (*release)(struct relabel_error *error);
};

/* ---- Values that cross ----------------------------------------------------------------------- */

/* All pointers belong to the plugin and stay valid and unchanged until the table is released. */
struct relabel_description {
  /* The word in a pipeline file: a-z, 0-9 and '-'. */
  const char *name;
  /* MAJOR.MINOR.PATCH. */
  const char *version;
  const char *description;
  /* SPDX expression. */
  const char *licence;
  /* Names of optional abilities, ended by NULL. The pointer itself may be NULL. */
  const char *const *capabilities;
  /* JSON Schema of the parameters, an object schema. The host checks parameters against it. */
  const char *params_schema;
};

/* What comes with every call that may take long. Borrowed. */
struct relabel_context {
  /* Threads the call may use, at least 1. The answer must not depend on it. */
  uint32_t threads;
  /* For the two functions below. */
  void *host;
  /* Tells the finished share, 0 to 1. Cheap; any thread may call it during the call. */
  void (*progress)(void *host, float share);
  /* Not 0 when the call should stop soon with RELABEL_CANCELLED. Any thread, as above. */
  int32_t (*is_cancelled)(void *host);
};

/* The rows and labels of one model. Borrowed, with all it points to. */
struct relabel_training {
  /* uint32 ("I"), no nulls: rows of the corpus. */
  const struct ArrowArray *rows;
  /* uint32 ("I"), no nulls, as long as rows: class of each row, below class_count. */
  const struct ArrowArray *labels;
  /* float32 ("f"), no nulls, as long as rows, finite and above 0; NULL means all 1. */
  const struct ArrowArray *weights;
  /* At least 2; some classes may have no row. */
  uint32_t class_count;
  uint64_t seed;
};

struct relabel_bytes {
  const uint8_t *data;
  size_t length;
  void *private_data;
  /* Frees data and private_data and sets release to NULL; may be NULL for static bytes. */
  void (*release)(struct relabel_bytes *bytes);
};

/* ---- The table ------------------------------------------------------------------------------- */

/* Opaque handles; the plugin decides what they point to. Never NULL once handed out. */
typedef void relabel_corpus;
typedef void relabel_model;

/*
 * The functions of a plugin. The host zeroes it before the entry call; a function that stays NULL
 * is not implemented. All of version 1 are mandatory. `state` is passed first to each.
 */
struct relabel_classifier {
  /* The version this table was filled for. */
  uint32_t abi_version;
  /* The plugin's own; may be NULL. */
  void *state;

  /* Fills `description`, whose strings stay the plugin's. */
  relabel_status (*describe)(void *state, struct relabel_description *description,
                             struct relabel_error *error);

  /*
   * Does the label-free work for all folds, once.
   *   schema, columns  Borrowed. A struct array ("+s") without nulls; its child named "text" is
   *                    large_utf8 ("U") without nulls. A plugin with the capability "columns" may
   *                    get further children: float64 ("g", NaN where there is no value) or
   *                    large_utf8 (empty where there is none), without nulls. Others are to be
   *                    ignored if unknown. Copy what the corpus needs.
   *   params           Borrowed. JSON object that the schema of describe accepts.
   *   corpus           Out, owned by the host: released with release_corpus.
   */
  relabel_status (*prepare)(void *state, const struct ArrowSchema *schema,
                            const struct ArrowArray *columns, const char *params,
                            const struct relabel_context *context, relabel_corpus **corpus,
                            struct relabel_error *error);

  /*
   * Learns a model from the given rows alone: whatever is learnt (document frequencies too) must
   * not depend on other rows of the corpus.
   *   corpus           Borrowed, from prepare of the same table.
   *   model            Out, owned by the host: released with release_model. It must not refer to
   *                    the corpus, which may be released first.
   */
  relabel_status (*fit)(void *state, const relabel_corpus *corpus,
                        const struct relabel_training *training,
                        const struct relabel_context *context, relabel_model **model,
                        struct relabel_error *error);

  /*
   * Scores rows of a corpus that was prepared with the parameters the model was fitted with.
   *   corpus, model    Borrowed; from this table, not necessarily from each other.
   *   rows             Borrowed. uint32 ("I"), no nulls.
   *   schema, scores   Out, owned by the host, which calls their release. A fixed-size list
   *                    ("+w:CLASSES") of float32 ("f"), one list a row, no nulls: finite, not
   *                    negative, each list sums to 1 within 0.001.
   */
  relabel_status (*predict)(void *state, const relabel_corpus *corpus, const relabel_model *model,
                            const struct ArrowArray *rows, const struct relabel_context *context,
                            struct ArrowSchema *schema, struct ArrowArray *scores,
                            struct relabel_error *error);

  /* Writes a model as self-contained bytes. bytes: out, owned by the host. */
  relabel_status (*save)(void *state, const relabel_model *model, struct relabel_bytes *bytes,
                         struct relabel_error *error);

  /*
   * Reads what save wrote. Any other bytes are an error, and no reason to crash or to allocate
   * more than their length suggests.
   *   data             Borrowed, `length` bytes.
   *   model            Out, owned by the host: released with release_model.
   *   class_count      Out: the classes its scores have.
   */
  relabel_status (*load)(void *state, const uint8_t *data, size_t length, relabel_model **model,
                         uint32_t *class_count, struct relabel_error *error);

  void (*release_corpus)(void *state, relabel_corpus *corpus);
  void (*release_model)(void *state, relabel_model *model);

  /* Frees state and sets release to NULL. Called after every corpus and model is released. */
  void (*release)(struct relabel_classifier *table);
};

/*
 * The one symbol a plugin exports. Each call makes an independent table.
 *   version          The version the host speaks.
 *   table            Zeroed by the host; owned by the host once filled.
 *   error            Zeroed by the host.
 */
RELABEL_EXPORT relabel_status relabel_classifier_entry(uint32_t version,
                                                       struct relabel_classifier *table,
                                                       struct relabel_error *error);

#ifdef __cplusplus
}
#endif

#endif /* RELABEL_PLUGIN_H */
