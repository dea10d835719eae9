// The forest's opinion: the methods of `_ditmos.Model` that work with its votes. None allocates.
#include "model_object.h"

static mp_obj_t model_summary(mp_obj_t self_in) {
    ditmos_model_obj_t *self = ditmos_model_with_front(self_in);
    if (!self->model.front->summary.bins) {
        mp_raise_ValueError(MP_ERROR_TEXT("the front end has no Summary"));
    }
    ditmos_model_need_rows(self, ditmos_feed_features(&self->feed) != NULL);
    return self->summary;
}
MP_DEFINE_CONST_FUN_OBJ_1(ditmos_model_summary_obj, model_summary);

static const ditmos_forest_t *get_forest(const ditmos_model_obj_t *self) {
    if (self->model.forest == NULL) {
        mp_raise_ValueError(MP_ERROR_TEXT("the model has no forest"));
    }
    return self->model.forest;
}

static mp_obj_t model_votes(mp_obj_t self_in, mp_obj_t window) {
    ditmos_model_obj_t *self = MP_OBJ_TO_PTR(self_in);
    const ditmos_forest_t *forest = get_forest(self);
    if (window != mp_const_none) {
        mp_raise_ValueError(MP_ERROR_TEXT("the forest votes on raw samples: feed them, and give None"));
    }
    ditmos_model_start(self);
    const int16_t *features = ditmos_feed_features(&self->feed);
    ditmos_model_need_rows(self, features != NULL);
    ditmos_forest_votes(forest, features, self->votes_data);
    self->voted = true;
    return self->votes;
}
MP_DEFINE_CONST_FUN_OBJ_2(ditmos_model_votes_obj, model_votes);

static mp_obj_t model_specialist(mp_obj_t self_in) {
    ditmos_model_obj_t *self = MP_OBJ_TO_PTR(self_in);
    if (self->model.specialists == 0) {
        mp_raise_ValueError(MP_ERROR_TEXT("votes name no classifier of this model"));
    }
    if (!self->voted) {
        mp_raise_msg(&mp_type_RuntimeError, MP_ERROR_TEXT("specialist before votes"));
    }
    return MP_OBJ_NEW_SMALL_INT(ditmos_forest_specialist(self->model.forest, self->votes_data));
}
MP_DEFINE_CONST_FUN_OBJ_1(ditmos_model_specialist_obj, model_specialist);

static mp_obj_t model_both(mp_obj_t self_in, mp_obj_t logits_in, mp_obj_t eighths_in) {
    ditmos_model_obj_t *self = MP_OBJ_TO_PTR(self_in);
    const ditmos_forest_t *forest = get_forest(self);
    mp_buffer_info_t logits;
    ditmos_get_int8(logits_in, &logits, MP_BUFFER_READ);
    mp_int_t eighths = mp_obj_get_int(eighths_in);
    if (forest->opinion == NULL || logits.len != forest->classes) {
        mp_raise_msg_varg(&mp_type_ValueError, MP_ERROR_TEXT("%u logits, expected those of a classifier"),
            (unsigned)logits.len);
    }
    if (eighths < 0 || eighths > DITMOS_MAX_EIGHTHS) {
        mp_raise_msg_varg(&mp_type_ValueError, MP_ERROR_TEXT("weight is %d, expected 0 to 8"), (int)eighths);
    }
    if (!self->voted) {
        mp_raise_msg(&mp_type_RuntimeError, MP_ERROR_TEXT("both before votes"));
    }
    return MP_OBJ_NEW_SMALL_INT(ditmos_forest_both(forest, self->votes_data, logits.buf, (unsigned)eighths));
}
MP_DEFINE_CONST_FUN_OBJ_3(ditmos_model_both_obj, model_both);
