// vfs.rom_ioctl() as the port has it, with an offset for the erasure of a part: (3, segment, length, offset). So a model
// that is put into some sectors of ROM leaves those of the model in use alone (device/ditmos/rom.py).
//
// Without an offset, as `mpremote romfs deploy` calls it, the ROMFS to come has ROM for itself: models beside it go.

#include "py/mperrno.h"
#include "py/runtime.h"
#include "extmod/vfs.h"

#include "flash.h"

#define UNIT (256u << 10) // the sectors that ROM consists of
#define HEADER (32) // bytes at the start of a unit by which a model is known

// Defined in the linker script.
extern uint8_t _micropy_hw_romfs_part0_start[], _micropy_hw_romfs_part0_size[];

// The port's own, under this name for this board (mpconfigboard.mk).
mp_obj_t stm32_mp_vfs_rom_ioctl(size_t n_args, const mp_obj_t *args);

static const uint32_t zeros[HEADER / 4];

static mp_obj_t prepare(size_t length, size_t offset) {
    size_t size = (size_t)_micropy_hw_romfs_part0_size;
    if (offset % UNIT || offset > size || length > size - offset) {
        return MP_OBJ_NEW_SMALL_INT(-MP_EINVAL);
    }
    for (size_t at = offset; at < offset + length; at += UNIT) {
        int result = flash_erase((uint32_t)_micropy_hw_romfs_part0_start + at);
        if (result < 0) {
            return MP_OBJ_NEW_SMALL_INT(result);
        }
    }
    return MP_OBJ_NEW_SMALL_INT(16); // smallest unit to write, as the port says
}

static void forget_models_behind(size_t length) {
    for (size_t at = (length + UNIT - 1) / UNIT * UNIT; at < (size_t)_micropy_hw_romfs_part0_size; at += UNIT) {
        flash_write((uint32_t)_micropy_hw_romfs_part0_start + at, zeros, HEADER / 4);
    }
}

mp_obj_t mp_vfs_rom_ioctl(size_t n_args, const mp_obj_t *args) {
    if (n_args >= 3 && mp_obj_get_int(args[0]) == MP_VFS_ROM_IOCTL_WRITE_PREPARE && mp_obj_get_int(args[1]) == 0) {
        size_t length = mp_obj_get_int(args[2]);
        if (n_args == 4) {
            return prepare(length, mp_obj_get_int(args[3]));
        }
        forget_models_behind(length);
    }
    return stm32_mp_vfs_rom_ioctl(n_args, args);
}
