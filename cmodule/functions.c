// The functions of the `_ditmos` module.
#include "functions.h"

#include "model_object.h"
#include "samples.h"

#if DITMOS_KERNELS_M7
// The size that firmware is built for costs more instructions here than these loops have.
#pragma GCC optimize("O2")
#endif

// Routing in Python would spend more time in this loop than anywhere else. Of `values` the first `most` count.
static mp_obj_t largest(mp_obj_t values, size_t most) {
    size_t best = 0;
    mp_buffer_info_t info;
    if (mp_get_buffer(values, &info, MP_BUFFER_READ)) {
        if (info.typecode == 'H') { // votes
            const uint16_t *votes = info.buf;
            size_t count = MIN(info.len / sizeof(uint16_t), most);
            for (size_t i = 1; i < count; i++) {
                best = votes[i] > votes[best] ? i : best;
            }
            return MP_OBJ_NEW_SMALL_INT(best);
        }
        ditmos_check_int8(&info);
        const int8_t *p = info.buf;
        size_t count = MIN(info.len, most);
        int32_t found = count ? p[0] : 0;
        for (size_t i = 1; i < count; i++) {
            int32_t value = p[i];
            if (value > found) {
                found = value;
                best = i;
            }
        }
    } else {
        mp_obj_iter_buf_t buffer;
        ditmos_iterator_t iterator = mp_getiter(values, &buffer);
        mp_obj_t found = mp_iternext(iterator);
        mp_obj_t value = found;
        for (size_t i = 0; i < most && value != MP_OBJ_STOP_ITERATION; i++, value = mp_iternext(iterator)) {
            if (mp_obj_is_true(mp_binary_op(MP_BINARY_OP_MORE, value, found))) {
                found = value;
                best = i;
            }
        }
    }
    return MP_OBJ_NEW_SMALL_INT(best);
}

static mp_obj_t ditmos_argmax(mp_obj_t values) {
    return largest(values, SIZE_MAX);
}
MP_DEFINE_CONST_FUN_OBJ_1(ditmos_argmax_obj, ditmos_argmax);

#define NO_SECOND 255 // more than int8 logits can lead by

typedef struct {
    mp_int_t largest;
    mp_int_t second;
    size_t count;
} leaders_t;

static void lead_with(leaders_t *leaders, mp_int_t value) {
    if (leaders->count == 0 || value > leaders->largest) {
        leaders->second = leaders->largest;
        leaders->largest = value;
    } else if (leaders->count == 1 || value > leaders->second) {
        leaders->second = value;
    }
    leaders->count++;
}

// lead(values): device/ditmos/routing.py says what it is.
static mp_obj_t ditmos_lead(mp_obj_t values) {
    leaders_t leaders = {0};
    mp_buffer_info_t info;
    if (!mp_get_buffer(values, &info, MP_BUFFER_READ)) {
        mp_obj_iter_buf_t buffer;
        ditmos_iterator_t iterator = mp_getiter(values, &buffer);
        for (mp_obj_t value; (value = mp_iternext(iterator)) != MP_OBJ_STOP_ITERATION;) {
            lead_with(&leaders, mp_obj_get_int(value));
        }
    } else if (info.typecode == 'H') { // votes
        for (size_t i = 0; i < info.len / sizeof(uint16_t); i++) {
            lead_with(&leaders, ((const uint16_t *)info.buf)[i]);
        }
    } else {
        ditmos_check_int8(&info);
        for (size_t i = 0; i < info.len; i++) {
            lead_with(&leaders, ((const int8_t *)info.buf)[i]);
        }
    }
    return MP_OBJ_NEW_SMALL_INT(leaders.count < 2 ? NO_SECOND : leaders.largest - leaders.second);
}
MP_DEFINE_CONST_FUN_OBJ_1(ditmos_lead_obj, ditmos_lead);

static size_t count_of(mp_obj_t model, qstr name) {
    return (size_t)mp_obj_get_int(mp_load_attr(model, name));
}

// chosen(model, logits, policy="top1"): device/ditmos/routing.py says what it is. Two calls in Python would cost more
// than all else that top1 does. A model is whatever has the attributes.
static mp_obj_t ditmos_chosen(size_t n_args, const mp_obj_t *args) {
    mp_obj_t model = args[0];
    size_t routes;
    size_t classifiers;
    if (mp_obj_is_type(model, &ditmos_model_type)) {
        const ditmos_model_t *parsed = &((ditmos_model_obj_t *)MP_OBJ_TO_PTR(model))->model;
        routes = parsed->routes;
        classifiers = parsed->classifiers;
    } else {
        routes = count_of(model, MP_QSTR_routes);
        classifiers = count_of(model, MP_QSTR_classifiers);
    }
    if (routes > 0) {
        return largest(args[1], routes);
    }
    if (classifiers > 1) {
        mp_raise_msg_varg(&mp_type_ValueError,
            MP_ERROR_TEXT("%s: nothing chooses among the model's classifiers; use average"),
            n_args > 2 ? mp_obj_str_get_str(args[2]) : "top1");
    }
    return MP_OBJ_NEW_SMALL_INT(0);
}
MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(ditmos_chosen_obj, 2, 3, ditmos_chosen);

// A buffer of `typecode`; TypeError for another.
static size_t get_values(mp_obj_t buffer, char typecode, mp_uint_t flags, void **values) {
    mp_buffer_info_t info;
    mp_get_buffer_raise(buffer, &info, flags);
    if (info.typecode != typecode) {
        mp_raise_msg_varg(&mp_type_TypeError, MP_ERROR_TEXT("expected array('%c')"), typecode);
    }
    *values = info.buf;
    return info.len / mp_binary_get_size('@', typecode, NULL);
}

static mp_obj_t ditmos_narrow(mp_obj_t words_in, mp_obj_t samples_in, mp_obj_t shift_in) {
    mp_buffer_info_t info;
    mp_get_buffer_raise(words_in, &info, MP_BUFFER_READ);
    char typecode = info.typecode == 'h' ? 'h' : 'i';
    void *words, *samples;
    size_t count = get_values(words_in, typecode, MP_BUFFER_READ, &words);
    mp_int_t shift = mp_obj_get_int(shift_in);
    bool fits = shift >= 0 && shift <= (typecode == 'h' ? 15 : 31);
    if (get_values(samples_in, 'h', MP_BUFFER_WRITE, &samples) != count || !fits) {
        mp_raise_ValueError(MP_ERROR_TEXT("narrow: expected as many samples as words, and a shift below their bits"));
    }
    return MP_OBJ_NEW_SMALL_INT(typecode == 'h' ? ditmos_narrow_16(words, samples, (uint32_t)count, (uint32_t)shift)
                                                : ditmos_narrow_32(words, samples, (uint32_t)count, (uint32_t)shift));
}
MP_DEFINE_CONST_FUN_OBJ_3(ditmos_narrow_obj, ditmos_narrow);

static mp_obj_t ditmos_watch_samples(mp_obj_t samples_in, mp_obj_t state_in) {
    void *samples, *state;
    size_t count = get_values(samples_in, 'h', MP_BUFFER_READ, &samples);
    size_t kept = get_values(state_in, 'i', MP_BUFFER_WRITE, &state);
    size_t channels = kept > DITMOS_LAST ? kept - DITMOS_LAST : 0;
    if (channels == 0 || count % channels != 0 || count / channels > UINT16_MAX) {
        mp_raise_ValueError(MP_ERROR_TEXT("watch: samples are no rows of the state's channels"));
    }
    ditmos_watch(samples, (uint32_t)(count / channels), (uint32_t)channels, state);
    return mp_const_none;
}
MP_DEFINE_CONST_FUN_OBJ_2(ditmos_watch_obj, ditmos_watch_samples);
