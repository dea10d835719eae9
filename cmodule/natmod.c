// `_ditmos` as a native module, which MicroPython loads from a file: its tables, filled in when it is loaded, and what
// the firmware does not hand over to such a module (runtime.h).
#include "names.h"

#include <string.h>

// Not static: the linker of native modules finds variables by their names only.
mp_obj_full_type_t ditmos_model_full_type;
#define COUNT(name, object) +1
mp_map_elem_t ditmos_model_methods_table[DITMOS_METHODS(COUNT)];
static MP_DEFINE_CONST_DICT(model_methods, ditmos_model_methods_table);

static void make_model_type(void) {
    #define METHOD(name, object) *method++ = (mp_map_elem_t) { MP_OBJ_NEW_QSTR(name), MP_OBJ_FROM_PTR(&object) };
    mp_map_elem_t *method = ditmos_model_methods_table;
    DITMOS_METHODS(METHOD)
    ditmos_model_full_type.base.type = &mp_type_type;
    ditmos_model_full_type.flags = MP_TYPE_FLAG_NONE;
    ditmos_model_full_type.name = MP_QSTR_Model;
    MP_OBJ_TYPE_SET_SLOT(&ditmos_model_full_type, make_new, ditmos_model_new, 0);
    MP_OBJ_TYPE_SET_SLOT(&ditmos_model_full_type, print, ditmos_model_print, 1);
    MP_OBJ_TYPE_SET_SLOT(&ditmos_model_full_type, attr, ditmos_model_attr, 2);
    MP_OBJ_TYPE_SET_SLOT(&ditmos_model_full_type, locals_dict, (mp_obj_dict_t *)&model_methods, 3);
}

mp_obj_t mpy_init(mp_obj_fun_bc_t *self, size_t n_args, size_t n_kw, mp_obj_t *args);

mp_obj_t mpy_init(mp_obj_fun_bc_t *self, size_t n_args, size_t n_kw, mp_obj_t *args) {
    (void)n_args;
    (void)n_kw;
    (void)args;
    MP_DYNRUNTIME_INIT_ENTRY
    make_model_type();
    mp_store_global(MP_QSTR_Model, MP_OBJ_FROM_PTR(&ditmos_model_full_type));
    #define STORE(name, object) mp_store_global(name, MP_OBJ_FROM_PTR(&object));
    DITMOS_FUNCTIONS(STORE)
    MP_DYNRUNTIME_INIT_EXIT
}

mp_int_t ditmos_get_int(mp_obj_t object) {
    mp_int_t value = (mp_int_t)mp_fun_table.native_from_obj(object, MP_NATIVE_TYPE_INT);
    if (!mp_obj_is_true(mp_binary_op(MP_BINARY_OP_EQUAL, object, mp_obj_new_int(value)))) {
        mp_raise_ValueError("integer is too large");
    }
    return value;
}

mp_obj_t ditmos_new_memoryview(uint8_t typecode, size_t count, void *items) {
    mp_obj_t bytes = mp_obj_new_bytearray_by_ref(0, items);
    mp_obj_t view = mp_call_function_n_kw(mp_load_global(MP_QSTR_memoryview), 1, 0, &bytes);
    mp_obj_array_t *array = MP_OBJ_TO_PTR(view);
    array->typecode = typecode; // and with this read-only
    array->len = count;
    return view;
}

void *ditmos_malloc0(size_t size) {
    return memset(m_malloc(size), 0, size);
}

typedef struct {
    size_t length;
    char text[192];
} message_t;

static void add_text(void *data, const char *text, size_t length) {
    message_t *message = data;
    size_t room = sizeof(message->text) - message->length;
    length = length < room ? length : room;
    memcpy(message->text + message->length, text, length);
    message->length += length;
}

NORETURN void ditmos_raise_msg(const mp_obj_type_t *type, const char *format, ...) {
    message_t message = { 0 };
    mp_print_t print = { &message, add_text };
    va_list values;
    va_start(values, format);
    mp_vprintf(&print, format, values);
    va_end(values);
    mp_raise_type_arg(type, mp_obj_new_str(message.text, message.length));
}

// There is no C library; the compiler calls these too.

void *memmove(void *to, const void *from, size_t size) {
    return mp_fun_table.memmove_(to, from, size);
}

void *memcpy(void *to, const void *from, size_t size) {
    return mp_fun_table.memmove_(to, from, size);
}

void *memset(void *to, int value, size_t size) {
    return mp_fun_table.memset_(to, value, size);
}

int memcmp(const void *a, const void *b, size_t size) {
    const uint8_t *p = a;
    const uint8_t *q = b;
    for (; size > 0; size--, p++, q++) {
        if (*p != *q) {
            return *p - *q;
        }
    }
    return 0;
}

size_t strlen(const char *text) {
    const char *end = text;
    while (*end) {
        end++;
    }
    return (size_t)(end - text);
}
