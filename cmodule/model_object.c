// The methods and attributes of `_ditmos.Model`. None allocates, but for features() where a plan leaves gaps.
#include <string.h>

#include "inputs.h"
#include "model_object.h"
#include "slide.h"

// The caller's arena is where it was: a bytearray may have been resized.
static inline void check_arena(const ditmos_model_obj_t *self) {
    if (self->arena != mp_const_none) {
        mp_buffer_info_t info;
        mp_get_buffer_raise(self->arena, &info, MP_BUFFER_RW);
        if (info.buf != self->arena_data || info.len < self->model.plan.arena_size) {
            mp_raise_msg(&mp_type_RuntimeError, MP_ERROR_TEXT("arena has been resized"));
        }
    }
}

void ditmos_model_start(ditmos_model_obj_t *self) {
    check_arena(self);
    self->run++;
}

// Between slices: Ctrl-C, and scheduled callbacks, which may do anything.
static void between_slices(ditmos_model_obj_t *self) {
    uint32_t run = self->run;
    mp_handle_pending(true);
    if (self->run != run) {
        mp_raise_msg(&mp_type_RuntimeError, MP_ERROR_TEXT("model was used by a callback"));
    }
    check_arena(self);
}

static void run_slices(ditmos_model_obj_t *self, unsigned begin, unsigned end) {
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

mp_obj_t ditmos_model_select(ditmos_model_obj_t *self) {
    self->selected = false;
    run_slices(self, 0, self->model.plan.select_slices);
    self->selected = true;
    return self->selector_logits;
}

static unsigned get_index(mp_obj_t index, unsigned count, const char *what) {
    mp_int_t i = mp_obj_get_int(index);
    if (count == 0) {
        mp_raise_msg_varg(&mp_type_ValueError, MP_ERROR_TEXT("the model has no %s"), what);
    }
    if (i < 0 || i >= (mp_int_t)count) {
        mp_raise_msg_varg(&mp_type_ValueError, MP_ERROR_TEXT("%s is %d, expected 0 to %d"), what, (int)i,
            (int)count - 1);
    }
    return (unsigned)i;
}

void ditmos_check_int8(const mp_buffer_info_t *info) {
    if (info->typecode != 'b' && info->typecode != 'B' && info->typecode != BYTEARRAY_TYPECODE) {
        mp_raise_TypeError(MP_ERROR_TEXT("expected int8: array('b'), bytes or bytearray"));
    }
}

void ditmos_get_int8(mp_obj_t object, mp_buffer_info_t *info, mp_uint_t flags) {
    mp_get_buffer_raise(object, info, flags);
    ditmos_check_int8(info);
}

static mp_obj_t model_load(mp_obj_t self_in, mp_obj_t window) {
    ditmos_model_obj_t *self = MP_OBJ_TO_PTR(self_in);
    const ditmos_model_t *model = &self->model;
    mp_buffer_info_t info;
    ditmos_get_int8(window, &info, MP_BUFFER_READ);
    if (info.len != (size_t)model->window * model->channels) {
        mp_raise_msg_varg(&mp_type_ValueError, MP_ERROR_TEXT("window has %u values, expected %u x %u"),
            (unsigned)info.len, (unsigned)model->window, (unsigned)model->channels);
    }
    ditmos_model_start(self);
    self->selected = false;
    ditmos_feed_interrupt(&self->feed);
    ditmos_engine_load(&self->engine, info.buf);
    return mp_const_none;
}
MP_DEFINE_CONST_FUN_OBJ_2(ditmos_model_load_obj, model_load);

static mp_obj_t model_select(mp_obj_t self_in, mp_obj_t window) {
    ditmos_model_obj_t *self = MP_OBJ_TO_PTR(self_in);
    if (window == mp_const_none) {
        return ditmos_model_select_fed(self_in);
    }
    model_load(self_in, window);
    return ditmos_model_select(self);
}
MP_DEFINE_CONST_FUN_OBJ_2(ditmos_model_select_obj, model_select);

static mp_obj_t model_slide(mp_obj_t self_in, mp_obj_t samples) {
    ditmos_model_obj_t *self = MP_OBJ_TO_PTR(self_in);
    const ditmos_model_t *model = &self->model;
    mp_buffer_info_t info;
    ditmos_get_int8(samples, &info, MP_BUFFER_READ);
    size_t rows = info.len / model->channels;
    if (rows * model->channels != info.len || rows < 1 || rows > model->window) {
        mp_raise_msg_varg(&mp_type_ValueError, MP_ERROR_TEXT("samples have %u values, expected 1 to %u times %u"),
            (unsigned)info.len, (unsigned)model->window, (unsigned)model->channels);
    }
    ditmos_model_start(self);
    if (!ditmos_slide_window(&self->engine, info.buf, (unsigned)rows)) {
        mp_raise_msg(&mp_type_RuntimeError, MP_ERROR_TEXT("slide before select, or the plan does not keep the window"));
    }
    ditmos_feed_interrupt(&self->feed);
    return ditmos_model_select(self);
}
MP_DEFINE_CONST_FUN_OBJ_2(ditmos_model_slide_obj, model_slide);

static void choose(ditmos_model_obj_t *self, unsigned k) {
    const uint8_t *weights = self->engine.classifier_weights;
    if (self->engine.classifier != (int)k) {
        weights = ditmos_usable_weights(self, (int)k);
    }
    ditmos_engine_choose(&self->engine, k, weights);
}

static mp_obj_t model_classify(mp_obj_t self_in, mp_obj_t k_in) {
    ditmos_model_obj_t *self = MP_OBJ_TO_PTR(self_in);
    const ditmos_plan_t *plan = &self->model.plan;
    unsigned k = get_index(k_in, self->model.classifiers, "classifier");
    ditmos_model_start(self);
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
MP_DEFINE_CONST_FUN_OBJ_2(ditmos_model_classify_obj, model_classify);

static mp_obj_t model_step(size_t n_args, const mp_obj_t *args) {
    ditmos_model_obj_t *self = MP_OBJ_TO_PTR(args[0]);
    const ditmos_plan_t *plan = &self->model.plan;
    unsigned i = get_index(args[1], plan->slice_count, "slice");
    const ditmos_slice_t *slice = &plan->slices[i];
    ditmos_model_start(self);
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
MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(ditmos_model_step_obj, 2, 3, model_step);

// A copy of a map whose planes have gaps between them.
static mp_obj_t without_gaps(const ditmos_model_obj_t *self, unsigned index) {
    const ditmos_buffer_t *buffer = &self->model.plan.buffers[index];
    size_t size = (size_t)buffer->rows * buffer->channels;
    int8_t *copy = m_new(int8_t, size);
    for (size_t c = 0; c < buffer->channels; c++) {
        memcpy(copy + c * buffer->rows, self->engine.arena + buffer->offset + c * buffer->stride, buffer->rows);
    }
    return mp_obj_new_memoryview('b', size, copy);
}

static mp_obj_t model_features(mp_obj_t self_in, mp_obj_t level_in) {
    ditmos_model_obj_t *self = MP_OBJ_TO_PTR(self_in);
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
MP_DEFINE_CONST_FUN_OBJ_2(ditmos_model_features_obj, model_features);

static mp_obj_t model_quantize(mp_obj_t self_in, mp_obj_t src_in, mp_obj_t dst_in) {
    ditmos_model_obj_t *self = MP_OBJ_TO_PTR(self_in);
    const ditmos_model_t *model = &self->model;
    mp_buffer_info_t src, dst;
    mp_get_buffer_raise(src_in, &src, MP_BUFFER_READ);
    ditmos_get_int8(dst_in, &dst, MP_BUFFER_WRITE);
    if (src.typecode != 'f' && src.typecode != 'h') {
        mp_raise_TypeError(MP_ERROR_TEXT("expected array('f') or array('h')"));
    }
    bool real = src.typecode == 'f';
    size_t count = src.len / (real ? sizeof(float) : sizeof(int16_t));
    uint32_t rows = (uint32_t)count / model->row_channels;
    if (rows * (size_t)model->row_channels != count) {
        mp_raise_msg_varg(&mp_type_ValueError, MP_ERROR_TEXT("%u values, expected rows of %u"), (unsigned)count,
            (unsigned)model->row_channels);
    }
    if (rows * (size_t)model->channels != dst.len) {
        mp_raise_msg_varg(&mp_type_ValueError, MP_ERROR_TEXT("destination has %u values, expected %u"),
            (unsigned)dst.len, (unsigned)(rows * model->channels));
    }
    uint32_t bad = 0;
    if (real) {
        bad = ditmos_quantize_f32(dst.buf, src.buf, rows, model->row_channels, model->inputs);
    } else {
        ditmos_quantize_i16(dst.buf, src.buf, rows, model->row_channels, model->inputs);
    }
    return MP_OBJ_NEW_SMALL_INT(bad);
}
MP_DEFINE_CONST_FUN_OBJ_3(ditmos_model_quantize_obj, model_quantize);

// Attributes.

void ditmos_model_print(const mp_print_t *print, mp_obj_t self_in, mp_print_kind_t kind) {
    (void)kind;
    const ditmos_model_obj_t *self = MP_OBJ_TO_PTR(self_in);
    const ditmos_model_t *model = &self->model;
    mp_printf(print, "<Model: window %u x %u, %u classes, %u classifiers, arena %u bytes>", (unsigned)model->window,
        (unsigned)model->channels, (unsigned)model->classes, (unsigned)model->classifiers,
        (unsigned)model->plan.arena_size);
}

static mp_obj_t attribute(const ditmos_model_obj_t *self, qstr name) {
    const ditmos_model_t *model = &self->model;
    QSTR_SWITCH(name) {
        QSTR_CASE(name, MP_QSTR_window)
            return MP_OBJ_NEW_SMALL_INT(model->window);
        QSTR_CASE(name, MP_QSTR_channels)
            return MP_OBJ_NEW_SMALL_INT(model->channels);
        QSTR_CASE(name, MP_QSTR_classes)
            return MP_OBJ_NEW_SMALL_INT(model->classes);
        QSTR_CASE(name, MP_QSTR_classifiers)
            return MP_OBJ_NEW_SMALL_INT(model->classifiers);
        QSTR_CASE(name, MP_QSTR_arena_size)
            return MP_OBJ_NEW_SMALL_INT(model->plan.arena_size);
        QSTR_CASE(name, MP_QSTR_routes)
            return MP_OBJ_NEW_SMALL_INT(model->routes);
        QSTR_CASE(name, MP_QSTR_exits)
            return MP_OBJ_NEW_SMALL_INT(model->exits);
        QSTR_CASE(name, MP_QSTR_once)
            return mp_obj_new_bool(model->plan.once);
        QSTR_CASE(name, MP_QSTR_selector_zero_point)
            return MP_OBJ_NEW_SMALL_INT(model->selector_zero_point);
        QSTR_CASE(name, MP_QSTR_logit_zero_point)
            return MP_OBJ_NEW_SMALL_INT(model->logit_zero_point);
        QSTR_CASE(name, MP_QSTR_inputs)
            return self->inputs;
        QSTR_CASE(name, MP_QSTR_rate)
            return self->rate;
        QSTR_CASE(name, MP_QSTR_policy)
            return self->policy;
        QSTR_CASE(name, MP_QSTR_margins)
            return self->margins;
        QSTR_CASE(name, MP_QSTR_raw_channels)
            return MP_OBJ_NEW_SMALL_INT(model->front ? model->front->channels : 0);
        QSTR_CASE(name, MP_QSTR_raw_hop)
            return MP_OBJ_NEW_SMALL_INT(model->front ? ditmos_frontend_hop(model->front) : 0);
        QSTR_CASE(name, MP_QSTR_raw_window)
            return MP_OBJ_NEW_SMALL_INT(model->front ? ditmos_frontend_window(model->front) : 0);
        QSTR_CASE(name, MP_QSTR_kept_rows)
            return MP_OBJ_NEW_SMALL_INT(model->front ? model->front->window : model->window);
        QSTR_CASE(name, MP_QSTR_raw_rate)
            return self->raw_rate;
        QSTR_CASE(name, MP_QSTR_raw_scale)
            return self->raw_scale;
        QSTR_CASE(name, MP_QSTR_raw_units)
            return self->raw_units;
        QSTR_CASE(name, MP_QSTR_selector_scale)
            return self->selector_scale;
        QSTR_CASE(name, MP_QSTR_logit_scale)
            return self->logit_scale;
        QSTR_CASE(name, MP_QSTR_experts)
            return self->experts;
        QSTR_CASE(name, MP_QSTR_trees)
            return MP_OBJ_NEW_SMALL_INT(model->forest ? model->forest->trees : 0);
        QSTR_CASE(name, MP_QSTR_specialists)
            return MP_OBJ_NEW_SMALL_INT(model->specialists);
        QSTR_CASE(name, MP_QSTR_class_names)
            return self->class_names;
        QSTR_CASE(name, MP_QSTR_slices)
            return self->slices;
    }
    return MP_OBJ_NULL;
}

void ditmos_model_attr(mp_obj_t self_in, qstr name, mp_obj_t *dest) {
    if (dest[0] != MP_OBJ_NULL) {
        return; // storing: not possible
    }
    dest[0] = attribute(MP_OBJ_TO_PTR(self_in), name);
    if (dest[0] == MP_OBJ_NULL) {
        dest[1] = MP_OBJ_SENTINEL; // look in locals_dict
    }
}
