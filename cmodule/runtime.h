// MicroPython as functions.c and model_*.c use it: in a user C module, and in a native module (DITMOS_NATMOD), which
// reaches the firmware through a table of functions (py/dynruntime.h) and knows the numbers of its names only when it
// has been loaded. natmod.c has what that table lacks.
#ifndef DITMOS_RUNTIME_H
#define DITMOS_RUNTIME_H

#if DITMOS_NATMOD

#include "py/dynruntime.h"

#include "py/objarray.h"
#include "py/objtuple.h"

#undef mp_obj_is_type // its checks at compile time are none here
#define mp_obj_is_type(object, type) (mp_obj_is_exact_type(object, type))
#undef mp_obj_get_int // this one cuts off what is too large
#define mp_obj_get_int(object) (ditmos_get_int(object))
#define mp_type_memoryview (*(mp_obj_type_t *)mp_load_global(MP_QSTR_memoryview))
#define mp_obj_new_memoryview(typecode, count, items) (ditmos_new_memoryview((typecode), (count), (items)))
#define mp_raise_msg_varg(...) (ditmos_raise_msg(__VA_ARGS__))
#define mp_getiter(object, buffer) (mp_fun_table.getiter((object), (buffer)), (buffer))
#define mp_iternext(buffer) (mp_fun_table.iternext(buffer))
#define mp_handle_pending(raise) // not possible: Ctrl-C acts when the call is over
#define m_malloc0(size) (ditmos_malloc0(size))

mp_int_t ditmos_get_int(mp_obj_t object);
mp_obj_t ditmos_new_memoryview(uint8_t typecode, size_t count, void *items);
NORETURN void ditmos_raise_msg(const mp_obj_type_t *type, const char *format, ...);
void *ditmos_malloc0(size_t size);

// switch (name) { case MP_QSTR_a: ... }
#define QSTR_SWITCH(name)
#define QSTR_CASE(name, qstr) if ((name) == (qstr))

typedef mp_obj_iter_buf_t *ditmos_iterator_t;

#else

#include "py/binary.h"
#include "py/objarray.h"
#include "py/objtuple.h"
#include "py/runtime.h"

#define QSTR_SWITCH(name) switch (name)
#define QSTR_CASE(name, qstr) case (qstr):

typedef mp_obj_t ditmos_iterator_t;

#endif

#endif // DITMOS_RUNTIME_H
