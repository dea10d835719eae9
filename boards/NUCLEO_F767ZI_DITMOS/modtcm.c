// The `tcm` module: the core's tightly coupled memories, which have no wait states and need no cache.
//
//     tcm.data           writable memoryview of 32 KiB of DTCM that nothing else uses: arenas
//     tcm.copy(buffer)   read-only copy in the 64 KiB of DTCM kept for model files; MemoryError when it does not fit.
//                        Its place is free again once nothing refers to it
//     tcm.code           memoryview of the ITCM bytes that were copied from flash at start
//     tcm.kernels()      addresses of the convolution and the fully connected kernel; 0 where the image has none

#include <string.h>

#include "py/objarray.h"
#include "py/runtime.h"
#include "tcm.h"

// Defined in the linker script.
extern uint8_t _ditmos_dtcm_data_start[], _ditmos_dtcm_data_size[];
extern uint8_t _ditmos_dtcm_copies_start[], _ditmos_dtcm_copies_size[];
extern uint8_t _ditmos_itcm_start[], _ditmos_itcm_size[];

// Weak: the board also builds without the `_ditmos` module.
extern void ditmos_conv(void) __attribute__((weak));
extern void ditmos_fc(void) __attribute__((weak));

#define MAX_COPIES (8)

// A copy: an object with the buffer protocol, so that whoever uses its bytes keeps it alive.
typedef struct {
    mp_obj_base_t base;
    uint8_t slot;
} copy_t;

// Bytes [begin, end) of the region for each copy that lives; slots are in no order. Outside the heap, which does not
// look here: a slot is freed by the finaliser of its object, at the latest by a soft reset.
static struct {
    uint32_t begin, end;
} copies[MAX_COPIES];

// The lowest place where `size` bytes are free, or UINT32_MAX: at the start or behind a copy that lives.
static uint32_t find_place(uint32_t size) {
    uint32_t best = UINT32_MAX;
    for (int candidate = -1; candidate < MAX_COPIES; candidate++) {
        uint32_t begin = candidate < 0 ? 0 : (copies[candidate].end + 3) & ~3u;
        bool free = size <= (uint32_t)_ditmos_dtcm_copies_size - begin && begin < best;
        for (int i = 0; free && i < MAX_COPIES; i++) {
            free = begin + size <= copies[i].begin || begin >= copies[i].end;
        }
        if (free) {
            best = begin;
        }
    }
    return best;
}

static int find_slot(void) {
    for (int i = 0; i < MAX_COPIES; i++) {
        if (copies[i].end == 0) {
            return i;
        }
    }
    return -1;
}

static const mp_obj_type_t copy_type;

mp_obj_t tcm_block(size_t size, uint8_t **data) {
    int slot = find_slot();
    uint32_t begin = find_place(size);
    if (slot < 0 || begin == UINT32_MAX || size == 0) {
        return MP_OBJ_NULL;
    }
    copy_t *self = mp_obj_malloc_with_finaliser(copy_t, &copy_type);
    self->slot = slot;
    copies[slot].begin = begin;
    copies[slot].end = begin + size;
    *data = _ditmos_dtcm_copies_start + begin;
    return MP_OBJ_FROM_PTR(self);
}

static mp_obj_t copy_make_new(const mp_obj_type_t *type, size_t n_args, size_t n_kw, const mp_obj_t *args) {
    (void)type;
    mp_arg_check_num(n_args, n_kw, 1, 1, false);
    mp_buffer_info_t source;
    mp_get_buffer_raise(args[0], &source, MP_BUFFER_READ);
    uint8_t *data;
    mp_obj_t self = tcm_block(source.len, &data);
    if (self == MP_OBJ_NULL) {
        mp_raise_msg_varg(&mp_type_MemoryError, MP_ERROR_TEXT("no place for %u bytes in DTCM"), (unsigned)source.len);
    }
    memcpy(data, source.buf, source.len);
    return self;
}

static mp_int_t copy_get_buffer(mp_obj_t self_in, mp_buffer_info_t *info, mp_uint_t flags) {
    const copy_t *self = MP_OBJ_TO_PTR(self_in);
    if (flags != MP_BUFFER_READ) {
        return 1;
    }
    info->buf = _ditmos_dtcm_copies_start + copies[self->slot].begin;
    info->len = copies[self->slot].end - copies[self->slot].begin;
    info->typecode = 'B';
    return 0;
}

static mp_obj_t copy_del(mp_obj_t self_in) {
    const copy_t *self = MP_OBJ_TO_PTR(self_in);
    copies[self->slot].begin = copies[self->slot].end = 0;
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(copy_del_obj, copy_del);

static const mp_rom_map_elem_t copy_locals_table[] = {
    { MP_ROM_QSTR(MP_QSTR___del__), MP_ROM_PTR(&copy_del_obj) },
};
static MP_DEFINE_CONST_DICT(copy_locals, copy_locals_table);

static MP_DEFINE_CONST_OBJ_TYPE(
    copy_type,
    MP_QSTR_copy,
    MP_TYPE_FLAG_NONE,
    make_new, copy_make_new,
    buffer, copy_get_buffer,
    locals_dict, &copy_locals
    );

static const MP_DEFINE_MEMORYVIEW_OBJ(tcm_data_obj, 'B' | MP_OBJ_ARRAY_TYPECODE_FLAG_RW, 0,
    (size_t)_ditmos_dtcm_data_size, _ditmos_dtcm_data_start);
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
    { MP_ROM_QSTR(MP_QSTR_copy), MP_ROM_PTR(&copy_type) },
    { MP_ROM_QSTR(MP_QSTR_code), MP_ROM_PTR(&tcm_code_obj) },
    { MP_ROM_QSTR(MP_QSTR_kernels), MP_ROM_PTR(&tcm_kernels_obj) },
};
static MP_DEFINE_CONST_DICT(tcm_globals, tcm_globals_table);

const mp_obj_module_t tcm_module = {
    .base = { &mp_type_module },
    .globals = (mp_obj_dict_t *)&tcm_globals,
};
MP_REGISTER_MODULE(MP_QSTR_tcm, tcm_module);
