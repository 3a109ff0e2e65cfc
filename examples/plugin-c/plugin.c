/*
 * A whole classifier plugin in C: it predicts the class shares of the training rows, moved by the
 * length of the text, so that texts, rows, labels and weights are all read. See README.md.
 */
#include "plugin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct corpus {
  size_t rows;
  /* 1 for a long text, 0 for a short one. */
  unsigned char *is_long;
};

struct model {
  uint32_t classes;
  /* Two rows of shares: for short texts, then for long ones. */
  float shares[];
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
  (void)state, (void)error;
  description->name = "plugin-in-c";
  description->version = "1.0.0";
  description->description = "Class shares by length of text; shows the boundary in C";
  description->licence = "MIT OR Apache-2.0";
  description->params_schema = "{\"type\": \"object\", \"properties\": {}, "
                               "\"additionalProperties\": false}";
  return RELABEL_OK;
}

static relabel_status prepare(void *state, const struct ArrowSchema *schema,
                              const struct ArrowArray *columns, const char *params,
                              const struct relabel_context *context, relabel_corpus **out,
                              struct relabel_error *error) {
  (void)state, (void)params;
  for (int64_t child = 0; child < schema->n_children; child++) {
    if (strcmp(schema->children[child]->name, "text") != 0)
      continue;
    const struct ArrowArray *text = columns->children[child];
    const int64_t *offsets = (const int64_t *)text->buffers[1] + text->offset;
    struct corpus *corpus = malloc(sizeof *corpus);
    if (corpus == NULL)
      return fail(error, "out of memory");
    corpus->rows = (size_t)text->length;
    corpus->is_long = malloc(corpus->rows + 1);
    if (corpus->is_long == NULL) {
      free(corpus);
      return fail(error, "out of memory");
    }
    for (size_t row = 0; row < corpus->rows; row++)
      corpus->is_long[row] = offsets[row + 1] - offsets[row] > 40;
    context->progress(context->host, 1.0f);
    *out = corpus;
    return RELABEL_OK;
  }
  return fail(error, "there is no column `text`");
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
  struct model *model = malloc(sizeof *model + 2 * (size_t)classes * sizeof(float));
  if (model == NULL)
    return fail(error, "out of memory");
  model->classes = classes;
  for (size_t i = 0; i < 2 * (size_t)classes; i++)
    model->shares[i] = 1.0f; /* every class may occur */
  for (int64_t i = 0; i < training->rows->length; i++)
    model->shares[corpus->is_long[rows[i]] * classes + labels[i]] += weights ? weights[i] : 1.0f;
  for (uint32_t length = 0; length < 2; length++) {
    double sum = 0.0;
    for (uint32_t class = 0; class < classes; class++)
      sum += model->shares[length * classes + class];
    for (uint32_t class = 0; class < classes; class++)
      model->shares[length * classes + class] /= (float)sum;
  }
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
  for (size_t i = 0; i < count; i++)
    memcpy(scores->values + i * classes, model->shares + corpus->is_long[rows[i]] * classes,
           classes * sizeof(float));

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

/* Saved models: "C1", then the class count and the shares as this machine writes them. */
static relabel_status save(void *state, const relabel_model *model_handle,
                           struct relabel_bytes *bytes, struct relabel_error *error) {
  (void)state;
  const struct model *model = model_handle;
  size_t length = 2 + sizeof model->classes + 2 * (size_t)model->classes * sizeof(float);
  unsigned char *data = malloc(length);
  if (data == NULL)
    return fail(error, "out of memory");
  memcpy(data, "C1", 2);
  memcpy(data + 2, &model->classes, sizeof model->classes);
  memcpy(data + 2 + sizeof model->classes, model->shares, length - 2 - sizeof model->classes);
  *bytes = (struct relabel_bytes){
      .data = data, .length = length, .private_data = data, .release = release_bytes};
  return RELABEL_OK;
}

static relabel_status load(void *state, const uint8_t *data, size_t length, relabel_model **out,
                           uint32_t *class_count, struct relabel_error *error) {
  (void)state;
  uint32_t classes;
  if (length < 2 + sizeof classes || memcmp(data, "C1", 2) != 0)
    return fail(error, "these bytes are no model of plugin-in-c");
  memcpy(&classes, data + 2, sizeof classes);
  size_t rest = length - 2 - sizeof classes;
  if (classes < 2 || rest != 2 * (size_t)classes * sizeof(float))
    return fail(error, "the saved model is cut short");
  struct model *model = malloc(sizeof *model + rest);
  if (model == NULL)
    return fail(error, "out of memory");
  model->classes = classes;
  memcpy(model->shares, data + 2 + sizeof classes, rest);
  *out = model;
  *class_count = classes;
  return RELABEL_OK;
}

static void release_corpus(void *state, relabel_corpus *handle) {
  (void)state;
  struct corpus *corpus = handle;
  free(corpus->is_long);
  free(corpus);
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
