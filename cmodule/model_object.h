// The Python object `_ditmos.Model`: model_new.c makes it, model_object.c has its methods. _ditmos.pyi describes it.
#ifndef DITMOS_MODEL_OBJECT_H
#define DITMOS_MODEL_OBJECT_H

#include "feed.h"
#include "runtime.h"

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
    ditmos_feed_t feed; // of a model with a front end
    ditmos_model_t model;
    // Made at construction, so that nothing is allocated later.
    mp_obj_t selector_logits;
    mp_obj_t logits;
    mp_obj_t row;
    mp_obj_t summary; // the features of the window that was fed
    mp_obj_t votes;
    uint16_t *votes_data;
    bool voted; // the forest has seen a window
    mp_obj_t features[1 + DITMOS_MAX_CONVS]; // views of these buffers, MP_OBJ_NULL where planes have gaps between them
    uint8_t feature_buffers[1 + DITMOS_MAX_CONVS]; // DITMOS_NONE where the plan does not keep the map
    mp_obj_t experts;
    mp_obj_t class_names;
    mp_obj_t slices;
    mp_obj_t inputs;
    mp_obj_t rate;
    mp_obj_t raw_rate;
    mp_obj_t raw_scale;
    mp_obj_t raw_units;
    mp_obj_t policy;
    mp_obj_t margins;
    mp_obj_t selector_scale;
    mp_obj_t logit_scale;
} ditmos_model_obj_t;

#if DITMOS_NATMOD
extern mp_obj_full_type_t ditmos_model_full_type; // filled in when the module is loaded
#define ditmos_model_type (*(const mp_obj_type_t *)&ditmos_model_full_type)
#else
extern const mp_obj_type_t ditmos_model_type;
#endif

// Model(buffer, arena=None). Raises TypeError, ValueError, MemoryError.
mp_obj_t ditmos_model_new(const mp_obj_type_t *type, size_t n_args, size_t n_kw, const mp_obj_t *args);

void ditmos_model_print(const mp_print_t *print, mp_obj_t self_in, mp_print_kind_t kind);
void ditmos_model_attr(mp_obj_t self_in, qstr name, mp_obj_t *dest);

// The weights of the selector (-1) or of a classifier, copied to its block unless they are used in place.
const uint8_t *ditmos_usable_weights(ditmos_model_obj_t *self, int classifier);

// Every call starts with this. Raises RuntimeError where the caller's arena has been resized.
void ditmos_model_start(ditmos_model_obj_t *self);

// Run the select slices on the window that is there; the selector's logits.
mp_obj_t ditmos_model_select(ditmos_model_obj_t *self);

// Model.select_fed().
mp_obj_t ditmos_model_select_fed(mp_obj_t self_in);

// The model's front end at work. Raises ValueError without one.
ditmos_model_obj_t *ditmos_model_with_front(mp_obj_t self_in);

// Raises RuntimeError: the window has not all its rows.
void ditmos_model_need_rows(const ditmos_model_obj_t *self, bool enough);

MP_DECLARE_CONST_FUN_OBJ_2(ditmos_model_load_obj);
MP_DECLARE_CONST_FUN_OBJ_2(ditmos_model_select_obj);
MP_DECLARE_CONST_FUN_OBJ_2(ditmos_model_slide_obj);
MP_DECLARE_CONST_FUN_OBJ_2(ditmos_model_classify_obj);
MP_DECLARE_CONST_FUN_OBJ_VAR_BETWEEN(ditmos_model_step_obj);
MP_DECLARE_CONST_FUN_OBJ_2(ditmos_model_features_obj);
MP_DECLARE_CONST_FUN_OBJ_3(ditmos_model_quantize_obj);
MP_DECLARE_CONST_FUN_OBJ_1(ditmos_model_summary_obj);
MP_DECLARE_CONST_FUN_OBJ_2(ditmos_model_votes_obj);
MP_DECLARE_CONST_FUN_OBJ_3(ditmos_model_both_obj);
MP_DECLARE_CONST_FUN_OBJ_1(ditmos_model_specialist_obj);
MP_DECLARE_CONST_FUN_OBJ_2(ditmos_model_feed_obj);
MP_DECLARE_CONST_FUN_OBJ_1(ditmos_model_select_fed_obj);
MP_DECLARE_CONST_FUN_OBJ_1(ditmos_model_feed_reset_obj);
MP_DECLARE_CONST_FUN_OBJ_1(ditmos_model_row_obj);
MP_DECLARE_CONST_FUN_OBJ_2(ditmos_model_calibrate_obj);

// Raises TypeError where a buffer is not array('b'), bytes, bytearray or a view of them.
void ditmos_check_int8(const mp_buffer_info_t *info);

// The bytes of such a buffer. Raises TypeError.
void ditmos_get_int8(mp_obj_t object, mp_buffer_info_t *info, mp_uint_t flags);

#endif
