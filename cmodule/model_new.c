// How a model becomes an object: everything is checked, and everything that calls need is allocated here.
#include <string.h>

#include "inputs.h"
#include "model_object.h"

static void raise_status(ditmos_status_t status) {
    if (status.field) {
        mp_raise_msg_varg(&mp_type_ValueError, MP_ERROR_TEXT("%s%s%s at offset %u: %s"), status.field,
            status.tag[0] ? " " : "", status.tag, (unsigned)status.offset, status.problem);
    }
}

static void *allocate(size_t size) {
    return m_malloc(size); // raises MemoryError
}

// A view of bytes in the arena, read-only. It starts from the head of the arena's memory, so that it keeps it alive.
static mp_obj_t typed_view(const ditmos_model_obj_t *self, char typecode, size_t item, uint32_t offset, size_t count) {
    uint8_t *head = self->arena_data;
    if (mp_obj_is_type(self->arena, &mp_type_memoryview)) {
        head = ((mp_obj_array_t *)MP_OBJ_TO_PTR(self->arena))->items;
    }
    mp_obj_t view = mp_obj_new_memoryview(typecode, count, head);
    size_t bytes = offset + (size_t)((uint8_t *)self->arena_data - head);
    ((mp_obj_array_t *)MP_OBJ_TO_PTR(view))->free = bytes / item; // memory starts at a multiple of a word, as the arena
    return view;
}

static mp_obj_t arena_view(const ditmos_model_obj_t *self, uint32_t offset, size_t size) {
    return typed_view(self, 'b', 1, offset, size);
}

static mp_obj_t buffer_view(const ditmos_model_obj_t *self, unsigned index) {
    if (index == DITMOS_NONE) {
        return arena_view(self, 0, 0);
    }
    const ditmos_buffer_t *buffer = &self->model.plan.buffers[index];
    return arena_view(self, buffer->offset, buffer->size);
}

static uint8_t *arena_memory(mp_obj_t arena, uint32_t size) {
    if (arena == mp_const_none) {
        return m_new0(uint8_t, size);
    }
    mp_buffer_info_t info;
    mp_get_buffer_raise(arena, &info, MP_BUFFER_RW);
    if (info.len < size) {
        mp_raise_msg_varg(&mp_type_ValueError, MP_ERROR_TEXT("arena has %u bytes, the plan needs %u"),
            (unsigned)info.len, (unsigned)size);
    }
    if ((uintptr_t)info.buf % 4 != 0) {
        mp_raise_ValueError(MP_ERROR_TEXT("arena must start at a multiple of 4"));
    }
    return info.buf;
}

// A board with memory that is faster than where `file` lies defines this: an object that keeps `size` bytes of it at
// *data, aligned to 4, or MP_OBJ_NULL.
#if DITMOS_NATMOD
#define ditmos_fast_block ((mp_obj_t (*)(const void *, size_t, uint8_t **))NULL)
#else
extern mp_obj_t ditmos_fast_block(const void *file, size_t size, uint8_t **data) __attribute__((weak));
#endif

// Where the weights of the selector and of the classifier in use are: in the file, or in blocks that are aligned.
static void place_weights(ditmos_model_obj_t *self) {
    const ditmos_model_t *model = &self->model;
    size_t size = (size_t)model->selector_weights_size + model->classifier_stride;
    self->fast = ditmos_fast_block ? ditmos_fast_block(self->file, size, &self->selector_block) : MP_OBJ_NULL;
    self->in_place = self->fast == MP_OBJ_NULL && (uintptr_t)self->file % 4 == 0;
    if (self->fast != MP_OBJ_NULL) {
        self->classifier_block = self->selector_block + model->selector_weights_size;
    } else if (!self->in_place) {
        self->selector_block = m_new(uint8_t, model->selector_weights_size);
        self->classifier_block = m_new(uint8_t, model->classifier_stride);
    }
}

const uint8_t *ditmos_usable_weights(ditmos_model_obj_t *self, int classifier) {
    const uint8_t *weights = ditmos_model_weights(&self->model, classifier);
    if (self->in_place) {
        return weights;
    }
    uint32_t size = classifier < 0 ? self->model.selector_weights_size : self->model.classifier_stride;
    return memcpy(classifier < 0 ? self->selector_block : self->classifier_block, weights, size);
}

// How a slice's name calls a layer: its branch and its level, 0 for the head.
static unsigned layer_level(const ditmos_model_t *model, unsigned layer) {
    bool classifier = layer >= model->selector_layers;
    unsigned index = classifier ? layer - model->selector_layers : layer;
    bool head = index >= (classifier ? model->classifier_convs : model->selector_convs);
    return head ? 0 : index + 1 + (classifier ? model->start : 0);
}

static char *add_text(char *end, const char *text) {
    size_t length = strlen(text);
    return (char *)memcpy(end, text, length) + length;
}

static char *add_branch(char *end, bool classifier) {
    return add_text(end, classifier ? "classifier." : "selector.");
}

static char *add_level(char *end, unsigned level) {
    if (level == 0) {
        return add_text(end, "head");
    }
    if (level >= 10) {
        *end++ = (char)('0' + level / 10);
    }
    *end++ = (char)('0' + level % 10);
    return end;
}

// "selector.2", "selector.1-3", "classifier.head", "selector.1-classifier.3": docs/format.md, PLAN.
static mp_obj_t slice_name(const ditmos_model_t *model, const ditmos_slice_t *slice) {
    const ditmos_stage_t *stages = &model->plan.stages[slice->first];
    unsigned first = stages[0].layer;
    unsigned last = stages[slice->count - 1].layer;
    bool classifier[2] = { first >= model->selector_layers, last >= model->selector_layers };
    unsigned level[2] = { layer_level(model, first), layer_level(model, last) };
    char name[sizeof("selector.12-classifier.24")];
    char *end = add_level(add_branch(name, classifier[0]), level[0]);
    if (classifier[0] != classifier[1] || level[0] != level[1]) {
        *end++ = '-';
        if (classifier[0] != classifier[1]) {
            end = add_branch(end, classifier[1]);
        }
        end = add_level(end, level[1]);
    }
    return mp_obj_new_str(name, (size_t)(end - name));
}

static mp_obj_t slice_names(const ditmos_model_t *model) {
    mp_obj_tuple_t *names = MP_OBJ_TO_PTR(mp_obj_new_tuple(model->plan.slice_count, NULL));
    for (unsigned i = 0; i < model->plan.slice_count; i++) {
        names->items[i] = slice_name(model, &model->plan.slices[i]);
    }
    return MP_OBJ_FROM_PTR(names);
}

// The string at *name, which moves on to the next one.
static mp_obj_t next_name(const char **name) {
    size_t length = strlen(*name);
    mp_obj_t string = mp_obj_new_str(*name, length);
    *name += length + 1;
    return string;
}

static mp_obj_t class_names(const ditmos_model_t *model) {
    mp_obj_tuple_t *names = MP_OBJ_TO_PTR(mp_obj_new_tuple(model->classes, NULL));
    const char *name = model->names;
    for (unsigned i = 0; i < model->classes; i++) {
        names->items[i] = next_name(&name);
    }
    return MP_OBJ_FROM_PTR(names);
}

// For each channel of a row (name, units, scale, zero point, sample scale, used).
static mp_obj_t input_channels(const ditmos_model_t *model) {
    mp_obj_tuple_t *inputs = MP_OBJ_TO_PTR(mp_obj_new_tuple(model->row_channels, NULL));
    const char *name = model->input_names;
    for (unsigned i = 0; i < model->row_channels; i++) {
        ditmos_input_t input = ditmos_input(model->inputs + DITMOS_INPUT_SIZE * i);
        mp_obj_t label = next_name(&name);
        mp_obj_t items[] = {
            label,
            next_name(&name),
            mp_obj_new_float((mp_float_t)input.scale),
            MP_OBJ_NEW_SMALL_INT(input.zero_point),
            mp_obj_new_float((mp_float_t)input.sample_scale),
            mp_obj_new_bool(input.used),
        };
        inputs->items[i] = mp_obj_new_tuple(MP_ARRAY_SIZE(items), items);
    }
    return MP_OBJ_FROM_PTR(inputs);
}

static mp_obj_t margins(const ditmos_model_t *model) {
    mp_obj_tuple_t *tuple = MP_OBJ_TO_PTR(mp_obj_new_tuple(model->margin_count, NULL));
    for (unsigned i = 0; i < model->margin_count; i++) {
        tuple->items[i] = mp_obj_new_int((int32_t)ditmos_u32(model->margins + 4 * i));
    }
    return MP_OBJ_FROM_PTR(tuple);
}

// Views of the selector's maps that the plan keeps whole. Map i of the selector is level i.
static void make_features(ditmos_model_obj_t *self) {
    const ditmos_plan_t *plan = &self->model.plan;
    memset(self->feature_buffers, DITMOS_NONE, sizeof(self->feature_buffers));
    for (unsigned i = 0; i < plan->buffer_count; i++) {
        const ditmos_buffer_t *buffer = &plan->buffers[i];
        if (buffer->kept && buffer->map <= self->model.selector_convs) {
            self->feature_buffers[buffer->map] = (uint8_t)i;
            self->features[buffer->map] = buffer->stride == buffer->rows ? buffer_view(self, i) : MP_OBJ_NULL;
        }
    }
}

// The front end at work, and what Python sees of it.
static void make_feed(ditmos_model_obj_t *self) {
    const ditmos_frontend_t *front = self->model.front;
    self->row = self->summary = self->votes = mp_const_none;
    self->voted = false;
    self->experts = mp_const_empty_tuple;
    self->raw_units = MP_OBJ_NEW_QSTR(MP_QSTR_);
    self->raw_rate = self->raw_scale = mp_obj_new_float(0);
    if (front == NULL) {
        return;
    }
    ditmos_feed_init(&self->feed, &self->engine);
    uint32_t row = (uint32_t)((uint8_t *)ditmos_stream_row(&self->feed.stream) - (uint8_t *)self->arena_data);
    self->row = typed_view(self, 'h', sizeof(int16_t), row, front->row_channels);
    if (front->summary.bins) {
        uint32_t features = row + front->memory.row;
        self->summary = typed_view(self, 'h', sizeof(int16_t), features,
            ditmos_summary_size(front->row_channels, front->summary.bins));
    }
    if (self->model.forest) {
        self->votes_data = m_new0(uint16_t, self->model.classes);
        self->votes = mp_obj_new_memoryview('H', self->model.classes, self->votes_data);
        mp_obj_t names[] = { MP_OBJ_NEW_QSTR(MP_QSTR_forest), MP_OBJ_NEW_QSTR(MP_QSTR_specialists) };
        self->experts = mp_obj_new_tuple(self->model.specialists ? 2 : 1, names);
    }
    self->raw_rate = mp_obj_new_float((mp_float_t)front->fs);
    self->raw_scale = mp_obj_new_float((mp_float_t)front->scale);
    self->raw_units = mp_obj_new_str(front->names, strlen(front->names));
}

mp_obj_t ditmos_model_new(const mp_obj_type_t *type, size_t n_args, size_t n_kw, const mp_obj_t *args) {
    enum { ARG_buffer, ARG_arena };
    const mp_arg_t allowed[] = {
        { MP_QSTR_buffer, MP_ARG_REQUIRED | MP_ARG_OBJ, { .u_obj = MP_OBJ_NULL } },
        { MP_QSTR_arena, MP_ARG_OBJ, { .u_obj = MP_OBJ_NULL } },
    };
    mp_arg_val_t values[MP_ARRAY_SIZE(allowed)];
    mp_arg_parse_all_kw_array(n_args, n_kw, args, MP_ARRAY_SIZE(allowed), allowed, values);

    ditmos_model_obj_t *self = mp_obj_malloc(ditmos_model_obj_t, type);
    self->buffer = values[ARG_buffer].u_obj;
    self->arena = values[ARG_arena].u_obj == MP_OBJ_NULL ? mp_const_none : values[ARG_arena].u_obj;
    self->run = 0;
    self->selected = false;
    mp_buffer_info_t info;
    mp_get_buffer_raise(self->buffer, &info, MP_BUFFER_READ);
    uint32_t size = (uint32_t)info.len;
    if (size != info.len) {
        mp_raise_ValueError(MP_ERROR_TEXT("model is too long"));
    }
    self->file = info.buf;
    mp_buffer_info_t writable;
    if (mp_get_buffer(self->buffer, &writable, MP_BUFFER_RW)) {
        // What was checked must not change afterwards: keep a copy of what can be written to or moved.
        self->file = memcpy(m_new(uint8_t, size), info.buf, size);
        self->buffer = mp_const_none;
    }
    ditmos_model_t *model = &self->model;
    raise_status(ditmos_model_parse(model, self->file, size, allocate));

    place_weights(self);
    for (int k = -1; k < model->classifiers; k++) {
        raise_status(ditmos_model_check_weights(model, self->file, k, ditmos_usable_weights(self, k)));
    }
    self->arena_data = arena_memory(self->arena, model->plan.arena_size);
    const uint8_t *selector = self->in_place ? model->weights : self->selector_block;
    ditmos_engine_init(&self->engine, model, self->arena_data, selector, allocate);

    make_feed(self);
    self->selector_logits = buffer_view(self, model->plan.selector_logits);
    self->logits = buffer_view(self, model->plan.logits);
    make_features(self);
    self->class_names = class_names(model);
    self->slices = slice_names(model);
    self->inputs = input_channels(model);
    self->rate = mp_obj_new_float((mp_float_t)model->rate);
    self->policy = mp_obj_new_str(model->policy, strlen(model->policy));
    self->margins = margins(model);
    self->selector_scale = mp_obj_new_float((mp_float_t)model->selector_scale);
    self->logit_scale = mp_obj_new_float((mp_float_t)model->logit_scale);
    return MP_OBJ_FROM_PTR(self);
}
