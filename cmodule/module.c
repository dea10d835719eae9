// `_ditmos` as a part of the firmware: its tables. This file, functions.c, model_*.c and natmod.c know MicroPython, no
// other does.
#include "names.h"

#define ENTRY(name, object) { MP_ROM_QSTR(name), MP_ROM_PTR(&object) },

static const mp_rom_map_elem_t model_methods_table[] = { DITMOS_METHODS(ENTRY) };
static MP_DEFINE_CONST_DICT(model_methods, model_methods_table);

MP_DEFINE_CONST_OBJ_TYPE(
    ditmos_model_type,
    MP_QSTR_Model,
    MP_TYPE_FLAG_NONE,
    make_new, ditmos_model_new,
    print, ditmos_model_print,
    attr, ditmos_model_attr,
    locals_dict, &model_methods
    );

static const mp_rom_map_elem_t module_globals_table[] = {
    { MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR__ditmos) },
    { MP_ROM_QSTR(MP_QSTR_Model), MP_ROM_PTR(&ditmos_model_type) },
    DITMOS_FUNCTIONS(ENTRY)
};
static MP_DEFINE_CONST_DICT(module_globals, module_globals_table);

const mp_obj_module_t ditmos_user_cmodule = {
    .base = { &mp_type_module },
    .globals = (mp_obj_dict_t *)&module_globals,
};
MP_REGISTER_MODULE(MP_QSTR__ditmos, ditmos_user_cmodule);
