// The `_ditmos` module: with overlay.c the only file here that knows MicroPython. The interface is described in _ditmos.pyi.
#include <string.h>

#include "py/binary.h"
#include "py/objarray.h"
#include "py/objtuple.h"
#include "py/runtime.h"

#include "engine.h"
#include "quantize.h"
#include "slide.h"

typedef struct {
    mp_obj_base_t base;
    mp_obj_t buffer; // the file, or mp_const_none where `file` is a copy
    const uint8_t *file;
    mp_obj_t arena; // given by the caller, or mp_const_none
    void *arena_data;
    bool in_place; // weights are used where the file has them; else they are copied to these blocks
    mp_obj_t fast; // keeps the blocks where they are not in the heap, or MP_OBJ_NULL
    uint8_t *selector_block;
    uint8_t *classifier_block;
    uint32_t run; // counts calls, to notice a call within a call
    bool selected; // the select slices have seen the window
    ditmos_engine_t engine;
    ditmos_model_t model;
    // Made at construction, so that nothing is allocated later.
    mp_obj_t selector_logits;
    mp_obj_t logits;
    mp_obj_t features[1 + DITMOS_MAX_CONVS]; // views of these buffers, MP_OBJ_NULL where planes have gaps between them
    uint8_t feature_buffers[1 + DITMOS_MAX_CONVS]; // DITMOS_NONE where the plan does not keep the map
    mp_obj_t class_names;
    mp_obj_t slices;
    mp_obj_t input_scale;
    mp_obj_t sample_scale;
    mp_obj_t selector_scale;
    mp_obj_t logit_scale;
} model_obj_t;

static void raise_status(ditmos_status_t status) {
    if (status.field) {
        mp_raise_msg_varg(&mp_type_ValueError, MP_ERROR_TEXT("%s at offset %u: %s"), status.field,
            (unsigned)status.offset, status.problem);
    }
}

// Construction.

static void *allocate(size_t size) {
    return m_malloc(size); // raises MemoryError
}

// A view of bytes in the arena, read-only. It starts from the head of the arena's memory, so that it keeps it alive.
static mp_obj_t arena_view(const model_obj_t *self, uint32_t offset, size_t size) {
    uint8_t *head = self->arena_data;
    if (mp_obj_is_type(self->arena, &mp_type_memoryview)) {
        head = ((mp_obj_array_t *)MP_OBJ_TO_PTR(self->arena))->items;
    }
    mp_obj_t view = mp_obj_new_memoryview('b', size, head);
    ((mp_obj_array_t *)MP_OBJ_TO_PTR(view))->free = offset + (size_t)((uint8_t *)self->arena_data - head);
    return view;
}

static mp_obj_t buffer_view(const model_obj_t *self, unsigned index) {
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
extern mp_obj_t ditmos_fast_block(const void *file, size_t size, uint8_t **data) __attribute__((weak));

// Where the weights of the selector and of the classifier in use are: in the file, or in blocks that are aligned.
static void place_weights(model_obj_t *self) {
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

// The weights of the selector (-1) or of a classifier, copied to its block unless they are used in place.
static const uint8_t *usable_weights(model_obj_t *self, int classifier) {
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

static void add_branch(vstr_t *name, bool classifier) {
    vstr_add_str(name, classifier ? "classifier." : "selector.");
}

static void add_level(vstr_t *name, unsigned level) {
    if (level == 0) {
        vstr_add_str(name, "head");
    } else {
        vstr_printf(name, "%u", level);
    }
}

// "selector.2", "selector.1-3", "classifier.head", "selector.1-classifier.3": docs/format.md, PLAN.
static mp_obj_t slice_name(const ditmos_model_t *model, const ditmos_slice_t *slice) {
    const ditmos_stage_t *stages = &model->plan.stages[slice->first];
    unsigned first = stages[0].layer;
    unsigned last = stages[slice->count - 1].layer;
    bool classifier[2] = { first >= model->selector_layers, last >= model->selector_layers };
    unsigned level[2] = { layer_level(model, first), layer_level(model, last) };
    vstr_t name;
    vstr_init(&name, 32);
    add_branch(&name, classifier[0]);
    add_level(&name, level[0]);
    if (classifier[0] != classifier[1] || level[0] != level[1]) {
        vstr_add_byte(&name, '-');
        if (classifier[0] != classifier[1]) {
            add_branch(&name, classifier[1]);
        }
        add_level(&name, level[1]);
    }
    return mp_obj_new_str_from_vstr(&name);
}

static mp_obj_t slice_names(const ditmos_model_t *model) {
    mp_obj_tuple_t *names = MP_OBJ_TO_PTR(mp_obj_new_tuple(model->plan.slice_count, NULL));
    for (unsigned i = 0; i < model->plan.slice_count; i++) {
        names->items[i] = slice_name(model, &model->plan.slices[i]);
    }
    return MP_OBJ_FROM_PTR(names);
}

static mp_obj_t class_names(const ditmos_model_t *model) {
    mp_obj_tuple_t *names = MP_OBJ_TO_PTR(mp_obj_new_tuple(model->classes, NULL));
    const char *name = model->names;
    for (unsigned i = 0; i < model->classes; i++) {
        size_t length = strlen(name);
        names->items[i] = mp_obj_new_str(name, length);
        name += length + 1;
    }
    return MP_OBJ_FROM_PTR(names);
}

// Views of the selector's maps that the plan keeps whole. Map i of the selector is level i.
static void make_features(model_obj_t *self) {
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

static mp_obj_t model_make_new(const mp_obj_type_t *type, size_t n_args, size_t n_kw, const mp_obj_t *args) {
    enum { ARG_buffer, ARG_arena };
    static const mp_arg_t allowed[] = {
        { MP_QSTR_buffer, MP_ARG_REQUIRED | MP_ARG_OBJ, { .u_obj = MP_OBJ_NULL } },
        { MP_QSTR_arena, MP_ARG_OBJ, { .u_rom_obj = MP_ROM_NONE } },
    };
    mp_arg_val_t values[MP_ARRAY_SIZE(allowed)];
    mp_arg_parse_all_kw_array(n_args, n_kw, args, MP_ARRAY_SIZE(allowed), allowed, values);

    model_obj_t *self = mp_obj_malloc(model_obj_t, type);
    self->buffer = values[ARG_buffer].u_obj;
    self->arena = values[ARG_arena].u_obj;
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
        raise_status(ditmos_model_check_weights(model, self->file, k, usable_weights(self, k)));
    }
    self->arena_data = arena_memory(self->arena, model->plan.arena_size);
    const uint8_t *selector = self->in_place ? model->weights : self->selector_block;
    ditmos_engine_init(&self->engine, model, self->arena_data, selector, allocate);

    self->selector_logits = buffer_view(self, model->plan.selector_logits);
    self->logits = buffer_view(self, model->plan.logits);
    make_features(self);
    self->class_names = class_names(model);
    self->slices = slice_names(model);
    self->input_scale = mp_obj_new_float((mp_float_t)model->input_scale);
    self->sample_scale = mp_obj_new_float((mp_float_t)model->sample_scale);
    self->selector_scale = mp_obj_new_float((mp_float_t)model->selector_scale);
    self->logit_scale = mp_obj_new_float((mp_float_t)model->logit_scale);
    return MP_OBJ_FROM_PTR(self);
}

// Running. None of this allocates, but for features() where a plan leaves gaps.

// The caller's arena is where it was: a bytearray may have been resized.
static void check_arena(const model_obj_t *self) {
    if (self->arena != mp_const_none) {
        mp_buffer_info_t info;
        mp_get_buffer_raise(self->arena, &info, MP_BUFFER_RW);
        if (info.buf != self->arena_data || info.len < self->model.plan.arena_size) {
            mp_raise_msg(&mp_type_RuntimeError, MP_ERROR_TEXT("arena has been resized"));
        }
    }
}

static void start(model_obj_t *self) {
    check_arena(self);
    self->run++;
}

// Between slices: Ctrl-C, and scheduled callbacks, which may do anything.
static void between_slices(model_obj_t *self) {
    uint32_t run = self->run;
    mp_handle_pending(true);
    if (self->run != run) {
        mp_raise_msg(&mp_type_RuntimeError, MP_ERROR_TEXT("model was used by a callback"));
    }
    check_arena(self);
}

static void run_slices(model_obj_t *self, unsigned begin, unsigned end) {
    for (unsigned i = begin; i < end; i++) {
        if (i > begin) {
            between_slices(self);
        }
        if (!ditmos_engine_ready(&self->engine, i)) {
            mp_raise_msg(&mp_type_RuntimeError, MP_ERROR_TEXT("classify before select"));
        }
        ditmos_engine_run(&self->engine, i);
    }
}

static unsigned get_index(mp_obj_t index, unsigned count, const char *what) {
    mp_int_t i = mp_obj_get_int(index);
    if (i < 0 || i >= (mp_int_t)count) {
        mp_raise_msg_varg(&mp_type_ValueError, MP_ERROR_TEXT("%s is %d, expected 0 to %d"), what, (int)i,
            (int)count - 1);
    }
    return (unsigned)i;
}

static bool is_int8(const mp_buffer_info_t *info) {
    return info->typecode == 'b' || info->typecode == 'B' || info->typecode == BYTEARRAY_TYPECODE;
}

static void get_int8(mp_obj_t object, mp_buffer_info_t *info, mp_uint_t flags) {
    mp_get_buffer_raise(object, info, flags);
    if (!is_int8(info)) {
        mp_raise_TypeError(MP_ERROR_TEXT("expected int8: array('b'), bytes or bytearray"));
    }
}

static mp_obj_t model_load(mp_obj_t self_in, mp_obj_t window) {
    model_obj_t *self = MP_OBJ_TO_PTR(self_in);
    const ditmos_model_t *model = &self->model;
    mp_buffer_info_t info;
    get_int8(window, &info, MP_BUFFER_READ);
    if (info.len != (size_t)model->window * model->channels) {
        mp_raise_msg_varg(&mp_type_ValueError, MP_ERROR_TEXT("window has %u values, expected %u x %u"),
            (unsigned)info.len, (unsigned)model->window, (unsigned)model->channels);
    }
    start(self);
    self->selected = false;
    ditmos_engine_load(&self->engine, info.buf);
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_2(model_load_obj, model_load);

static mp_obj_t model_select(mp_obj_t self_in, mp_obj_t window) {
    model_obj_t *self = MP_OBJ_TO_PTR(self_in);
    model_load(self_in, window);
    run_slices(self, 0, self->model.plan.select_slices);
    self->selected = true;
    return self->selector_logits;
}
static MP_DEFINE_CONST_FUN_OBJ_2(model_select_obj, model_select);

static mp_obj_t model_slide(mp_obj_t self_in, mp_obj_t samples) {
    model_obj_t *self = MP_OBJ_TO_PTR(self_in);
    const ditmos_model_t *model = &self->model;
    mp_buffer_info_t info;
    get_int8(samples, &info, MP_BUFFER_READ);
    size_t rows = info.len / model->channels;
    if (rows * model->channels != info.len || rows < 1 || rows > model->window) {
        mp_raise_msg_varg(&mp_type_ValueError, MP_ERROR_TEXT("samples have %u values, expected 1 to %u times %u"),
            (unsigned)info.len, (unsigned)model->window, (unsigned)model->channels);
    }
    start(self);
    if (!ditmos_slide_window(&self->engine, info.buf, (unsigned)rows)) {
        mp_raise_msg(&mp_type_RuntimeError, MP_ERROR_TEXT("slide before select, or the plan does not keep the window"));
    }
    self->selected = false;
    run_slices(self, 0, model->plan.select_slices);
    self->selected = true;
    return self->selector_logits;
}
static MP_DEFINE_CONST_FUN_OBJ_2(model_slide_obj, model_slide);

static void choose(model_obj_t *self, unsigned k) {
    const uint8_t *weights = self->engine.classifier_weights;
    if (self->engine.classifier != (int)k) {
        weights = usable_weights(self, (int)k);
    }
    ditmos_engine_choose(&self->engine, k, weights);
}

static mp_obj_t model_classify(mp_obj_t self_in, mp_obj_t k_in) {
    model_obj_t *self = MP_OBJ_TO_PTR(self_in);
    const ditmos_plan_t *plan = &self->model.plan;
    unsigned k = get_index(k_in, self->model.classifiers, "classifier");
    start(self);
    choose(self, k);
    if (self->selected && !ditmos_engine_has_features(&self->engine)) { // another classifier has written over them
        if (plan->once && !ditmos_engine_has_window(&self->engine)) {
            mp_raise_msg(&mp_type_RuntimeError, MP_ERROR_TEXT("the plan allows one classify a window"));
        }
        run_slices(self, 0, plan->select_slices);
        between_slices(self);
    }
    run_slices(self, plan->select_slices, plan->slice_count);
    return self->logits;
}
static MP_DEFINE_CONST_FUN_OBJ_2(model_classify_obj, model_classify);

static mp_obj_t model_step(size_t n_args, const mp_obj_t *args) {
    model_obj_t *self = MP_OBJ_TO_PTR(args[0]);
    const ditmos_plan_t *plan = &self->model.plan;
    unsigned i = get_index(args[1], plan->slice_count, "slice");
    const ditmos_slice_t *slice = &plan->slices[i];
    start(self);
    if (slice->classify) {
        unsigned k = n_args > 2 ? get_index(args[2], self->model.classifiers, "classifier") : 0;
        if (self->engine.classifier != (int)k) {
            choose(self, k);
        }
    }
    if (!ditmos_engine_ready(&self->engine, i)) {
        mp_raise_msg(&mp_type_RuntimeError, MP_ERROR_TEXT("step before the slices that it depends on"));
    }
    ditmos_engine_run(&self->engine, i);
    self->selected |= i + 1u == plan->select_slices;
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(model_step_obj, 2, 3, model_step);

// A copy of a map whose planes have gaps between them.
static mp_obj_t without_gaps(const model_obj_t *self, unsigned index) {
    const ditmos_buffer_t *buffer = &self->model.plan.buffers[index];
    size_t size = (size_t)buffer->rows * buffer->channels;
    int8_t *copy = m_new(int8_t, size);
    for (size_t c = 0; c < buffer->channels; c++) {
        memcpy(copy + c * buffer->rows, self->engine.arena + buffer->offset + c * buffer->stride, buffer->rows);
    }
    return mp_obj_new_memoryview('b', size, copy);
}

static mp_obj_t model_features(mp_obj_t self_in, mp_obj_t level_in) {
    model_obj_t *self = MP_OBJ_TO_PTR(self_in);
    unsigned level = get_index(level_in, self->model.selector_convs + 1u, "level");
    unsigned buffer = self->feature_buffers[level];
    if (buffer == DITMOS_NONE) {
        mp_raise_msg_varg(&mp_type_ValueError, MP_ERROR_TEXT("the plan does not keep map %u"), level);
    }
    if (!(self->engine.valid >> buffer & 1)) {
        mp_raise_msg(&mp_type_RuntimeError, MP_ERROR_TEXT("features before select, or classify has used them up"));
    }
    return self->features[level] == MP_OBJ_NULL ? without_gaps(self, buffer) : self->features[level];
}
static MP_DEFINE_CONST_FUN_OBJ_2(model_features_obj, model_features);

static mp_obj_t model_quantize(mp_obj_t self_in, mp_obj_t src_in, mp_obj_t dst_in) {
    model_obj_t *self = MP_OBJ_TO_PTR(self_in);
    const ditmos_model_t *model = &self->model;
    mp_buffer_info_t src, dst;
    mp_get_buffer_raise(src_in, &src, MP_BUFFER_READ);
    get_int8(dst_in, &dst, MP_BUFFER_WRITE);
    if (src.typecode != 'f' && src.typecode != 'h') {
        mp_raise_TypeError(MP_ERROR_TEXT("expected array('f') or array('h')"));
    }
    bool real = src.typecode == 'f';
    size_t count = src.len / (real ? sizeof(float) : sizeof(int16_t));
    if (count != dst.len) {
        mp_raise_msg_varg(&mp_type_ValueError, MP_ERROR_TEXT("destination has %u values, expected %u"),
            (unsigned)dst.len, (unsigned)count);
    }
    if (real) {
        ditmos_quantize_f32(dst.buf, src.buf, (uint32_t)count, 1.0f / model->input_scale, model->input_zero_point);
    } else {
        ditmos_quantize_i16(dst.buf, src.buf, (uint32_t)count, model->sample_scale / model->input_scale,
            model->input_zero_point);
    }
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_3(model_quantize_obj, model_quantize);

// Attributes.

static void model_print(const mp_print_t *print, mp_obj_t self_in, mp_print_kind_t kind) {
    (void)kind;
    const model_obj_t *self = MP_OBJ_TO_PTR(self_in);
    const ditmos_model_t *model = &self->model;
    mp_printf(print, "<Model: window %u x %u, %u classes, %u classifiers, arena %u bytes>", (unsigned)model->window,
        (unsigned)model->channels, (unsigned)model->classes, (unsigned)model->classifiers,
        (unsigned)model->plan.arena_size);
}

static mp_obj_t attribute(const model_obj_t *self, qstr name) {
    const ditmos_model_t *model = &self->model;
    switch (name) {
        case MP_QSTR_window:
            return MP_OBJ_NEW_SMALL_INT(model->window);
        case MP_QSTR_channels:
            return MP_OBJ_NEW_SMALL_INT(model->channels);
        case MP_QSTR_classes:
            return MP_OBJ_NEW_SMALL_INT(model->classes);
        case MP_QSTR_classifiers:
            return MP_OBJ_NEW_SMALL_INT(model->classifiers);
        case MP_QSTR_arena_size:
            return MP_OBJ_NEW_SMALL_INT(model->plan.arena_size);
        case MP_QSTR_input_zero_point:
            return MP_OBJ_NEW_SMALL_INT(model->input_zero_point);
        case MP_QSTR_selector_zero_point:
            return MP_OBJ_NEW_SMALL_INT(model->selector_zero_point);
        case MP_QSTR_logit_zero_point:
            return MP_OBJ_NEW_SMALL_INT(model->logit_zero_point);
        case MP_QSTR_input_scale:
            return self->input_scale;
        case MP_QSTR_sample_scale:
            return self->sample_scale;
        case MP_QSTR_selector_scale:
            return self->selector_scale;
        case MP_QSTR_logit_scale:
            return self->logit_scale;
        case MP_QSTR_class_names:
            return self->class_names;
        case MP_QSTR_slices:
            return self->slices;
        default:
            return MP_OBJ_NULL;
    }
}

static void model_attr(mp_obj_t self_in, qstr name, mp_obj_t *dest) {
    if (dest[0] != MP_OBJ_NULL) {
        return; // storing: not possible
    }
    dest[0] = attribute(MP_OBJ_TO_PTR(self_in), name);
    if (dest[0] == MP_OBJ_NULL) {
        dest[1] = MP_OBJ_SENTINEL; // look in locals_dict
    }
}

static const mp_rom_map_elem_t model_locals_table[] = {
    { MP_ROM_QSTR(MP_QSTR_quantize), MP_ROM_PTR(&model_quantize_obj) },
    { MP_ROM_QSTR(MP_QSTR_load), MP_ROM_PTR(&model_load_obj) },
    { MP_ROM_QSTR(MP_QSTR_select), MP_ROM_PTR(&model_select_obj) },
    { MP_ROM_QSTR(MP_QSTR_slide), MP_ROM_PTR(&model_slide_obj) },
    { MP_ROM_QSTR(MP_QSTR_classify), MP_ROM_PTR(&model_classify_obj) },
    { MP_ROM_QSTR(MP_QSTR_step), MP_ROM_PTR(&model_step_obj) },
    { MP_ROM_QSTR(MP_QSTR_features), MP_ROM_PTR(&model_features_obj) },
};
static MP_DEFINE_CONST_DICT(model_locals, model_locals_table);

static MP_DEFINE_CONST_OBJ_TYPE(
    model_type,
    MP_QSTR_Model,
    MP_TYPE_FLAG_NONE,
    make_new, model_make_new,
    print, model_print,
    attr, model_attr,
    locals_dict, &model_locals
    );

// Routing in Python would spend more time in this loop than anywhere else.
static mp_obj_t ditmos_argmax(mp_obj_t values) {
    size_t best = 0;
    mp_buffer_info_t info;
    if (mp_get_buffer(values, &info, MP_BUFFER_READ)) {
        get_int8(values, &info, MP_BUFFER_READ);
        const int8_t *p = info.buf;
        for (size_t i = 1; i < info.len; i++) {
            best = p[i] > p[best] ? i : best;
        }
    } else {
        mp_obj_iter_buf_t buffer;
        mp_obj_t iterator = mp_getiter(values, &buffer);
        mp_obj_t largest = mp_iternext(iterator);
        mp_obj_t value = largest;
        for (size_t i = 0; value != MP_OBJ_STOP_ITERATION; i++, value = mp_iternext(iterator)) {
            if (mp_obj_is_true(mp_binary_op(MP_BINARY_OP_MORE, value, largest))) {
                largest = value;
                best = i;
            }
        }
    }
    return MP_OBJ_NEW_SMALL_INT(best);
}
static MP_DEFINE_CONST_FUN_OBJ_1(ditmos_argmax_obj, ditmos_argmax);

static const mp_rom_map_elem_t module_globals_table[] = {
    { MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR__ditmos) },
    { MP_ROM_QSTR(MP_QSTR_Model), MP_ROM_PTR(&model_type) },
    { MP_ROM_QSTR(MP_QSTR_argmax), MP_ROM_PTR(&ditmos_argmax_obj) },
};
static MP_DEFINE_CONST_DICT(module_globals, module_globals_table);

const mp_obj_module_t ditmos_user_cmodule = {
    .base = { &mp_type_module },
    .globals = (mp_obj_dict_t *)&module_globals,
};
MP_REGISTER_MODULE(MP_QSTR__ditmos, ditmos_user_cmodule);
