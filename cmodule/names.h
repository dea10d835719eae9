// What Python finds in `_ditmos` and in its Model: module.c and natmod.c make tables of these lists.
#ifndef DITMOS_NAMES_H
#define DITMOS_NAMES_H

#include "functions.h"
#include "model_object.h"

#define DITMOS_FUNCTIONS(ENTRY) \
    ENTRY(MP_QSTR_argmax, ditmos_argmax_obj) \
    ENTRY(MP_QSTR_chosen, ditmos_chosen_obj) \
    ENTRY(MP_QSTR_lead, ditmos_lead_obj) \
    ENTRY(MP_QSTR_narrow, ditmos_narrow_obj) \
    ENTRY(MP_QSTR_watch, ditmos_watch_obj)

// Names are looked for from the front.
#define DITMOS_METHODS(ENTRY) \
    ENTRY(MP_QSTR_select, ditmos_model_select_obj) \
    ENTRY(MP_QSTR_classify, ditmos_model_classify_obj) \
    ENTRY(MP_QSTR_quantize, ditmos_model_quantize_obj) \
    ENTRY(MP_QSTR_load, ditmos_model_load_obj) \
    ENTRY(MP_QSTR_slide, ditmos_model_slide_obj) \
    ENTRY(MP_QSTR_step, ditmos_model_step_obj) \
    ENTRY(MP_QSTR_features, ditmos_model_features_obj) \
    ENTRY(MP_QSTR_summary, ditmos_model_summary_obj) \
    ENTRY(MP_QSTR_votes, ditmos_model_votes_obj) \
    ENTRY(MP_QSTR_both, ditmos_model_both_obj) \
    ENTRY(MP_QSTR_specialist, ditmos_model_specialist_obj) \
    ENTRY(MP_QSTR_feed, ditmos_model_feed_obj) \
    ENTRY(MP_QSTR_select_fed, ditmos_model_select_fed_obj) \
    ENTRY(MP_QSTR_feed_reset, ditmos_model_feed_reset_obj) \
    ENTRY(MP_QSTR_row, ditmos_model_row_obj) \
    ENTRY(MP_QSTR_calibrate, ditmos_model_calibrate_obj)

#endif // DITMOS_NAMES_H
