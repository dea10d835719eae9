// The `_ditmos` module. This file and model_*.c know MicroPython, no other does.
#include "py/runtime.h"

#include "model_object.h"

// Routing in Python would spend more time in this loop than anywhere else.
static mp_obj_t ditmos_argmax(mp_obj_t values) {
    size_t best = 0;
    mp_buffer_info_t info;
    if (mp_get_buffer(values, &info, MP_BUFFER_READ)) {
        if (info.typecode == 'H') { // votes
            const uint16_t *votes = info.buf;
            for (size_t i = 1; i < info.len / sizeof(uint16_t); i++) {
                best = votes[i] > votes[best] ? i : best;
            }
            return MP_OBJ_NEW_SMALL_INT(best);
        }
        ditmos_get_int8(values, &info, MP_BUFFER_READ);
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
    { MP_ROM_QSTR(MP_QSTR_Model), MP_ROM_PTR(&ditmos_model_type) },
    { MP_ROM_QSTR(MP_QSTR_argmax), MP_ROM_PTR(&ditmos_argmax_obj) },
};
static MP_DEFINE_CONST_DICT(module_globals, module_globals_table);

const mp_obj_module_t ditmos_user_cmodule = {
    .base = { &mp_type_module },
    .globals = (mp_obj_dict_t *)&module_globals,
};
MP_REGISTER_MODULE(MP_QSTR__ditmos, ditmos_user_cmodule);
