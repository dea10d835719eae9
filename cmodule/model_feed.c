// Raw samples in: the methods of `_ditmos.Model` that work through its front end. None allocates.
#include "model_object.h"

ditmos_model_obj_t *ditmos_model_with_front(mp_obj_t self_in) {
    ditmos_model_obj_t *self = MP_OBJ_TO_PTR(self_in);
    if (self->model.front == NULL) {
        mp_raise_ValueError(MP_ERROR_TEXT("the model has no front end"));
    }
    ditmos_model_start(self);
    return self;
}

// Samples as int16, and how many rows of them there are.
static const int16_t *get_samples(const ditmos_model_obj_t *self, mp_obj_t samples, uint32_t *count) {
    unsigned channels = self->model.front->channels;
    mp_buffer_info_t info;
    mp_get_buffer_raise(samples, &info, MP_BUFFER_READ);
    if (info.typecode != 'h') {
        mp_raise_TypeError(MP_ERROR_TEXT("expected int16: array('h')"));
    }
    size_t values = info.len / sizeof(int16_t);
    if (values % channels != 0) {
        mp_raise_msg_varg(&mp_type_ValueError, MP_ERROR_TEXT("samples have %u values, expected a multiple of %u"),
            (unsigned)values, channels);
    }
    *count = (uint32_t)(values / channels);
    return info.buf;
}

static mp_obj_t model_feed(mp_obj_t self_in, mp_obj_t samples_in) {
    ditmos_model_obj_t *self = ditmos_model_with_front(self_in);
    uint32_t count;
    const int16_t *samples = get_samples(self, samples_in, &count);
    uint32_t rows = ditmos_feed_push(&self->feed, samples, count);
    self->selected &= rows == 0;
    self->voted &= rows == 0;
    return MP_OBJ_NEW_SMALL_INT(rows);
}
MP_DEFINE_CONST_FUN_OBJ_2(ditmos_model_feed_obj, model_feed);

void ditmos_model_need_rows(const ditmos_model_obj_t *self, bool enough) {
    if (!enough) {
        mp_raise_msg_varg(&mp_type_RuntimeError, MP_ERROR_TEXT("the window needs %u rows, there are %u"),
            (unsigned)self->model.front->window, (unsigned)self->feed.rows);
    }
}

mp_obj_t ditmos_model_select_fed(mp_obj_t self_in) {
    ditmos_model_obj_t *self = ditmos_model_with_front(self_in);
    ditmos_model_need_rows(self, ditmos_feed_window(&self->feed));
    return ditmos_model_select(self);
}
MP_DEFINE_CONST_FUN_OBJ_1(ditmos_model_select_fed_obj, ditmos_model_select_fed);

static mp_obj_t model_feed_reset(mp_obj_t self_in) {
    ditmos_model_obj_t *self = ditmos_model_with_front(self_in);
    ditmos_feed_reset(&self->feed);
    self->selected = self->voted = false;
    return mp_const_none;
}
MP_DEFINE_CONST_FUN_OBJ_1(ditmos_model_feed_reset_obj, model_feed_reset);

static mp_obj_t model_row(mp_obj_t self_in) {
    return ditmos_model_with_front(self_in)->row;
}
MP_DEFINE_CONST_FUN_OBJ_1(ditmos_model_row_obj, model_row);

static mp_obj_t model_calibrate(mp_obj_t self_in, mp_obj_t samples_in) {
    ditmos_model_obj_t *self = ditmos_model_with_front(self_in);
    if (self->model.front->own_at == DITMOS_MAX_OPERATIONS) {
        mp_raise_ValueError(MP_ERROR_TEXT("the front end has nothing to calibrate"));
    }
    uint32_t count;
    const int16_t *samples = get_samples(self, samples_in, &count);
    self->selected = self->voted = false;
    if (!ditmos_feed_observe(&self->feed, samples, count)) {
        mp_raise_msg(&mp_type_RuntimeError, MP_ERROR_TEXT("calibrate takes at most 65535 rows"));
    }
    return MP_OBJ_NEW_SMALL_INT(self->feed.stream.seen);
}
MP_DEFINE_CONST_FUN_OBJ_2(ditmos_model_calibrate_obj, model_calibrate);
