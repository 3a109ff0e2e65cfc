/*
 * A whole classifier plugin in C: each word of a text votes with the class shares it had in the
 * training rows. Words are told apart by a hash. See README.md.
 */
#include "plugin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Words with equal hashes below this are one word to the plugin. */
#define BUCKETS 2048u

struct corpus {
  size_t rows;
  /* Words of row r are words[starts[r]] to words[starts[r + 1] - 1], each a bucket. */
  size_t *starts;
  uint16_t *words;
};

struct model {
  uint32_t classes;
  /* BUCKETS + 1 rows of one vote a class; each sums to 1. The last is for the text as such. */
  float votes[];
};

static void release_error(struct relabel_error *error) {
  free(error->message);
  error->message = NULL;
  error->release = NULL;
}

/* Returns RELABEL_FAILED, so that a function can end with it. */
static relabel_status fail(struct relabel_error *error, const char *message) {
  if (error != NULL) {
    error->message = malloc(strlen(message) + 1);
    if (error->message != NULL) {
      strcpy(error->message, message);
      error->release = release_error;
    }
  }
  return RELABEL_FAILED;
}

static relabel_status describe(void *state, struct relabel_description *description,
                               struct relabel_error *error) {
  static const char *const capabilities[] = {"weights", NULL};
  (void)state, (void)error;
  description->name = "plugin-in-c";
  description->version = "1.0.0";
  description->description = "Words vote with their class shares; shows the boundary in C";
  description->licence = "MIT OR Apache-2.0";
  description->capabilities = capabilities;
  description->params_schema = "{\"type\": \"object\", \"properties\": {}, "
                               "\"additionalProperties\": false}";
  return RELABEL_OK;
}

static int is_letter(unsigned char byte) {
  return byte >= 128 || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
         (byte >= '0' && byte <= '9');
}

/* Writes the buckets of the words of a text, and returns how many there are. */
static size_t read_words(const unsigned char *text, size_t length, uint16_t *words) {
  size_t count = 0;
  for (size_t at = 0; at < length;) {
    if (!is_letter(text[at])) {
      at++;
      continue;
    }
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (; at < length && is_letter(text[at]); at++) {
      unsigned char byte = text[at];
      hash = (hash ^ (byte >= 'A' && byte <= 'Z' ? byte + 32u : byte)) * 16777619u;
    }
    words[count++] = (uint16_t)((hash ^ hash >> 16) % BUCKETS);
  }
  return count;
}

static void release_corpus(void *state, relabel_corpus *handle) {
  (void)state;
  struct corpus *corpus = handle;
  if (corpus == NULL)
    return;
  free(corpus->starts);
  free(corpus->words);
  free(corpus);
}

static relabel_status prepare(void *state, const struct ArrowSchema *schema,
                              const struct ArrowArray *columns, const char *params,
                              const struct relabel_context *context, relabel_corpus **out,
                              struct relabel_error *error) {
  (void)params;
  for (int64_t child = 0; child < schema->n_children; child++) {
    if (strcmp(schema->children[child]->name, "text") != 0)
      continue;
    const struct ArrowArray *text = columns->children[child];
    const int64_t *offsets = (const int64_t *)text->buffers[1] + text->offset;
    const unsigned char *bytes = text->buffers[2];
    size_t rows = (size_t)text->length;
    /* A word takes a byte and, but for the last one, a separator. */
    size_t most_words = rows == 0 ? 0 : (size_t)(offsets[rows] - offsets[0]) / 2 + rows;
    struct corpus *corpus = calloc(1, sizeof *corpus);
    if (corpus == NULL)
      return fail(error, "out of memory");
    corpus->rows = rows;
    corpus->starts = calloc(rows + 1, sizeof *corpus->starts);
    corpus->words = malloc((most_words + 1) * sizeof *corpus->words);
    if (corpus->starts == NULL || corpus->words == NULL) {
      release_corpus(state, corpus);
      return fail(error, "out of memory");
    }
    for (size_t row = 0; row < rows; row++) {
      if (row % 1024 == 0 && context->is_cancelled(context->host)) {
        release_corpus(state, corpus);
        return RELABEL_CANCELLED;
      }
      size_t start = corpus->starts[row], length = (size_t)(offsets[row + 1] - offsets[row]);
      corpus->starts[row + 1] =
          start + read_words(bytes + offsets[row], length, corpus->words + start);
    }
    context->progress(context->host, 1.0f);
    *out = corpus;
    return RELABEL_OK;
  }
  return fail(error, "there is no column `text`");
}

/* Adds `prior`, if there is one, and makes a row sum to 1. */
static void normalise(float *row, const float *prior, uint32_t classes) {
  double sum = 0.0;
  for (uint32_t class = 0; class < classes; class++) {
    row[class] += prior ? prior[class] : 0.0f;
    sum += row[class];
  }
  for (uint32_t class = 0; class < classes; class++)
    row[class] /= (float)sum;
}

static relabel_status fit(void *state, const relabel_corpus *corpus_handle,
                          const struct relabel_training *training,
                          const struct relabel_context *context, relabel_model **out,
                          struct relabel_error *error) {
  (void)state;
  const struct corpus *corpus = corpus_handle;
  const uint32_t *rows = (const uint32_t *)training->rows->buffers[1] + training->rows->offset;
  const uint32_t *labels =
      (const uint32_t *)training->labels->buffers[1] + training->labels->offset;
  const float *weights = NULL;
  if (training->weights != NULL)
    weights = (const float *)training->weights->buffers[1] + training->weights->offset;
  if (context->is_cancelled(context->host))
    return RELABEL_CANCELLED;

  uint32_t classes = training->class_count;
  size_t cells = (BUCKETS + 1) * (size_t)classes;
  struct model *model = malloc(sizeof *model + cells * sizeof(float));
  if (model == NULL)
    return fail(error, "out of memory");
  model->classes = classes;
  float *prior = model->votes + BUCKETS * (size_t)classes;
  for (size_t i = 0; i < cells; i++)
    model->votes[i] = 0.0f;
  for (uint32_t class = 0; class < classes; class++)
    prior[class] = 1.0f; /* every class may occur */
  for (int64_t i = 0; i < training->rows->length; i++) {
    float weight = weights ? weights[i] : 1.0f;
    prior[labels[i]] += weight;
    for (size_t at = corpus->starts[rows[i]]; at < corpus->starts[rows[i] + 1]; at++)
      model->votes[corpus->words[at] * (size_t)classes + labels[i]] += weight;
  }
  normalise(prior, NULL, classes);
  for (size_t bucket = 0; bucket < BUCKETS; bucket++)
    normalise(model->votes + bucket * classes, prior, classes);
  *out = model;
  return RELABEL_OK;
}

/* Everything the exported scores point to, in one block that the array owns. */
struct scores {
  struct ArrowArray child, *children[1];
  const void *list_buffers[1], *value_buffers[2];
  float values[];
};

struct score_type {
  struct ArrowSchema child, *children[1];
  char format[24];
};

static void release_array(struct ArrowArray *array) {
  free(array->private_data); /* NULL for the child, which is part of its parent's block */
  array->release = NULL;
}

static void release_schema(struct ArrowSchema *schema) {
  free(schema->private_data);
  schema->release = NULL;
}

static relabel_status predict(void *state, const relabel_corpus *corpus_handle,
                              const relabel_model *model_handle, const struct ArrowArray *row_array,
                              const struct relabel_context *context, struct ArrowSchema *schema,
                              struct ArrowArray *out, struct relabel_error *error) {
  (void)state, (void)context;
  const struct corpus *corpus = corpus_handle;
  const struct model *model = model_handle;
  const uint32_t *rows = (const uint32_t *)row_array->buffers[1] + row_array->offset;
  size_t count = (size_t)row_array->length, classes = model->classes;

  struct scores *scores = malloc(sizeof *scores + count * classes * sizeof(float));
  struct score_type *type = calloc(1, sizeof *type);
  if (scores == NULL || type == NULL) {
    free(scores), free(type);
    return fail(error, "out of memory");
  }
  for (size_t i = 0; i < count; i++) {
    float *row = scores->values + i * classes;
    memcpy(row, model->votes + BUCKETS * classes, classes * sizeof(float));
    for (size_t at = corpus->starts[rows[i]]; at < corpus->starts[rows[i] + 1]; at++)
      for (size_t class = 0; class < classes; class++)
        row[class] += model->votes[corpus->words[at] * classes + class];
    normalise(row, NULL, (uint32_t)classes);
  }

  snprintf(type->format, sizeof type->format, "+w:%zu", classes);
  type->child = (struct ArrowSchema){.format = "f", .name = "item", .release = release_schema};
  type->children[0] = &type->child;
  *schema = (struct ArrowSchema){.format = type->format,
                                 .name = "scores",
                                 .n_children = 1,
                                 .children = type->children,
                                 .release = release_schema,
                                 .private_data = type};

  scores->list_buffers[0] = NULL; /* no nulls */
  scores->value_buffers[0] = NULL;
  scores->value_buffers[1] = scores->values;
  scores->child = (struct ArrowArray){.length = (int64_t)(count * classes),
                                      .n_buffers = 2,
                                      .buffers = scores->value_buffers,
                                      .release = release_array};
  scores->children[0] = &scores->child;
  *out = (struct ArrowArray){.length = (int64_t)count,
                             .n_buffers = 1,
                             .n_children = 1,
                             .buffers = scores->list_buffers,
                             .children = scores->children,
                             .release = release_array,
                             .private_data = scores};
  return RELABEL_OK;
}

static void release_bytes(struct relabel_bytes *bytes) {
  free(bytes->private_data);
  bytes->release = NULL;
}

/* FNV-1a in 64 bits: finds damage, and is no protection against malice. */
static uint64_t checksum(const unsigned char *data, size_t length) {
  uint64_t hash = 14695981039346656037u;
  for (size_t at = 0; at < length; at++)
    hash = (hash ^ data[at]) * 1099511628211u;
  return hash;
}

/* A saved model: MAGIC, the checksum of the rest, class count, votes, as this machine writes them. */
#define MAGIC "plugin-in-c 1"
#define HEAD (sizeof MAGIC + sizeof(uint64_t))

static relabel_status save(void *state, const relabel_model *model_handle,
                           struct relabel_bytes *bytes, struct relabel_error *error) {
  (void)state;
  const struct model *model = model_handle;
  size_t votes = (BUCKETS + 1) * (size_t)model->classes * sizeof(float);
  size_t length = HEAD + sizeof model->classes + votes;
  unsigned char *data = malloc(length);
  if (data == NULL)
    return fail(error, "out of memory");
  memcpy(data + HEAD, &model->classes, sizeof model->classes);
  memcpy(data + HEAD + sizeof model->classes, model->votes, votes);
  uint64_t sum = checksum(data + HEAD, length - HEAD);
  memcpy(data, MAGIC, sizeof MAGIC);
  memcpy(data + sizeof MAGIC, &sum, sizeof sum);
  *bytes = (struct relabel_bytes){
      .data = data, .length = length, .private_data = data, .release = release_bytes};
  return RELABEL_OK;
}

static relabel_status load(void *state, const uint8_t *data, size_t length, relabel_model **out,
                           uint32_t *class_count, struct relabel_error *error) {
  (void)state;
  uint32_t classes;
  uint64_t sum;
  if (length < HEAD + sizeof classes || memcmp(data, MAGIC, sizeof MAGIC) != 0)
    return fail(error, "these bytes are no model of plugin-in-c");
  memcpy(&sum, data + sizeof MAGIC, sizeof sum);
  if (sum != checksum(data + HEAD, length - HEAD))
    return fail(error, "the saved model is damaged or cut short");
  memcpy(&classes, data + HEAD, sizeof classes);
  size_t votes = length - HEAD - sizeof classes;
  if (classes < 2 || votes != (BUCKETS + 1) * (size_t)classes * sizeof(float))
    return fail(error, "the saved model has another size");
  struct model *model = malloc(sizeof *model + votes);
  if (model == NULL)
    return fail(error, "out of memory");
  model->classes = classes;
  memcpy(model->votes, data + HEAD + sizeof classes, votes);
  *out = model;
  *class_count = classes;
  return RELABEL_OK;
}

static void release_model(void *state, relabel_model *handle) {
  (void)state;
  free(handle);
}

static void release(struct relabel_classifier *table) { table->release = NULL; }

RELABEL_EXPORT relabel_status relabel_classifier_entry(uint32_t version,
                                                       struct relabel_classifier *table,
                                                       struct relabel_error *error) {
  if (version != RELABEL_ABI_VERSION) {
    fail(error, "this plugin was built for another version of plugin.h");
    return RELABEL_UNSUPPORTED_VERSION;
  }
  *table = (struct relabel_classifier){.abi_version = RELABEL_ABI_VERSION,
                                       .describe = describe,
                                       .prepare = prepare,
                                       .fit = fit,
                                       .predict = predict,
                                       .save = save,
                                       .load = load,
                                       .release_corpus = release_corpus,
                                       .release_model = release_model,
                                       .release = release};
  return RELABEL_OK;
}
