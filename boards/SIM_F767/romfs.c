// ROMFS in external memory, so that `mpremote romfs deploy` works and a file in it has an address.

#include <string.h>

#include "py/mperrno.h"
#include "py/objarray.h"
#include "py/runtime.h"
#include "extmod/vfs.h"

#include "board.h"

static const MP_DEFINE_MEMORYVIEW_OBJ(romfs_segment, 'B', 0, ROMFS_SIZE, (void *)ROMFS_START);

// Arguments: command, segment, then (length) to prepare, (offset, data) to write. Errors are negative numbers.
mp_obj_t mp_vfs_rom_ioctl(size_t n_args, const mp_obj_t *args) {
    mp_int_t command = mp_obj_get_int(args[0]);
    if (command == MP_VFS_ROM_IOCTL_GET_NUMBER_OF_SEGMENTS) {
        return MP_OBJ_NEW_SMALL_INT(1);
    }
    if (n_args < 2 || mp_obj_get_int(args[1]) != 0) {
        return MP_OBJ_NEW_SMALL_INT(-MP_EINVAL);
    }
    if (command == MP_VFS_ROM_IOCTL_GET_SEGMENT) {
        return MP_OBJ_FROM_PTR(&romfs_segment);
    }
    if (command == MP_VFS_ROM_IOCTL_WRITE_PREPARE && n_args >= 3) {
        size_t length = mp_obj_get_int(args[2]);
        if (length <= ROMFS_SIZE) {
            memset((void *)ROMFS_START, 0xff, length);
            return MP_OBJ_NEW_SMALL_INT(4); // smallest unit to write
        }
    }
    if (command == MP_VFS_ROM_IOCTL_WRITE && n_args >= 4) {
        size_t offset = mp_obj_get_int(args[2]);
        mp_buffer_info_t data;
        mp_get_buffer_raise(args[3], &data, MP_BUFFER_READ);
        if (offset <= ROMFS_SIZE && data.len <= ROMFS_SIZE - offset) {
            memcpy((uint8_t *)ROMFS_START + offset, data.buf, data.len);
            return MP_OBJ_NEW_SMALL_INT(0);
        }
    }
    if (command == MP_VFS_ROM_IOCTL_WRITE_COMPLETE) {
        return MP_OBJ_NEW_SMALL_INT(0);
    }
    return MP_OBJ_NEW_SMALL_INT(-MP_EINVAL);
}
