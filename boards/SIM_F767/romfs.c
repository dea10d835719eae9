// ROM in external memory, so that `mpremote romfs deploy` works and a file in it has an address. It is erased as the real
// board's is (NUCLEO_F767ZI_DITMOS/rom_ioctl.c): from an offset in sectors of 256 KiB, or whole for a ROMFS to come.

#include <string.h>

#include "py/mperrno.h"
#include "py/objarray.h"
#include "py/runtime.h"
#include "extmod/vfs.h"

#include "board.h"

static const MP_DEFINE_MEMORYVIEW_OBJ(romfs_segment, 'B', 0, ROMFS_SIZE, (void *)ROMFS_START);

#define UNIT (256 << 10)
#define HEADER (32) // bytes at the start of a unit by which a model is known

static bool erase(size_t offset, size_t length) {
    if (offset % UNIT || offset > ROMFS_SIZE || length > ROMFS_SIZE - offset) {
        return false;
    }
    memset((uint8_t *)ROMFS_START + offset, 0xff, (length + UNIT - 1) / UNIT * UNIT);
    return true;
}

// Arguments: command, segment, then (length[, offset]) to prepare, (offset, data) to write. Errors are negative numbers.
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
        if (erase(n_args == 4 ? mp_obj_get_int(args[3]) : 0, length)) {
            for (size_t at = (length + UNIT - 1) / UNIT * UNIT; n_args == 3 && at < ROMFS_SIZE; at += UNIT) {
                memset((uint8_t *)ROMFS_START + at, 0, HEADER);
            }
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
