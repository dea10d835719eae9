// The `tcm` module: the core's tightly coupled memories, which have no wait states and need no cache.
//
//     tcm.data       writable memoryview of the 96 KiB of DTCM that nothing else uses: arenas, model weights
//     tcm.code       memoryview of the ITCM bytes that were copied from flash at start
//     tcm.kernels()  addresses of the convolution and the fully connected kernel; 0 where the image has none

#include "py/objarray.h"
#include "py/runtime.h"

// Defined in the linker script.
extern uint8_t _ditmos_dtcm_start[], _ditmos_dtcm_size[], _ditmos_itcm_start[], _ditmos_itcm_size[];

// Weak: the board also builds without the `_ditmos` module.
extern void ditmos_conv(void) __attribute__((weak));
extern void ditmos_fc(void) __attribute__((weak));

static const MP_DEFINE_MEMORYVIEW_OBJ(tcm_data_obj, 'B' | MP_OBJ_ARRAY_TYPECODE_FLAG_RW, 0,
    (size_t)_ditmos_dtcm_size, _ditmos_dtcm_start);
static const MP_DEFINE_MEMORYVIEW_OBJ(tcm_code_obj, 'B', 0, (size_t)_ditmos_itcm_size, _ditmos_itcm_start);

static mp_obj_t tcm_kernels(void) {
    // Bit 0 of a function's address only says that it is Thumb code.
    mp_obj_t addresses[] = {
        mp_obj_new_int_from_uint((uintptr_t)ditmos_conv & ~1u),
        mp_obj_new_int_from_uint((uintptr_t)ditmos_fc & ~1u),
    };
    return mp_obj_new_tuple(MP_ARRAY_SIZE(addresses), addresses);
}
static MP_DEFINE_CONST_FUN_OBJ_0(tcm_kernels_obj, tcm_kernels);

static const mp_rom_map_elem_t tcm_globals_table[] = {
    { MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR_tcm) },
    { MP_ROM_QSTR(MP_QSTR_data), MP_ROM_PTR(&tcm_data_obj) },
    { MP_ROM_QSTR(MP_QSTR_code), MP_ROM_PTR(&tcm_code_obj) },
    { MP_ROM_QSTR(MP_QSTR_kernels), MP_ROM_PTR(&tcm_kernels_obj) },
};
static MP_DEFINE_CONST_DICT(tcm_globals, tcm_globals_table);

const mp_obj_module_t tcm_module = {
    .base = { &mp_type_module },
    .globals = (mp_obj_dict_t *)&tcm_globals,
};
MP_REGISTER_MODULE(MP_QSTR_tcm, tcm_module);
