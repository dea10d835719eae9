// What the NUCLEO_F767ZI board has and the qemu port leaves out.
#include "ports/qemu/mpconfigport.h"

#undef MICROPY_HW_BOARD_NAME // the port gives qemu's name for the machine
#undef MICROPY_PY_SYS_STDIO_BUFFER
#undef MICROPY_PY_SELECT
#undef MICROPY_PY_TIME
#undef MICROPY_PY_ASYNCIO
#undef MICROPY_VFS_ROM_IOCTL
#undef MICROPY_FLOAT_IMPL

#define MICROPY_HW_BOARD_NAME "SIM_F767"
#define MICROPY_HW_MCU_NAME "simulated STM32F767"
#define MICROPY_PY_SYS_STDIO_BUFFER (1)
#define MICROPY_PY_SELECT (1)
#define MICROPY_PY_TIME (1)
#define MICROPY_PY_TIME_TIME_TIME_NS (0)
#define MICROPY_PY_ASYNCIO (0)
#define MICROPY_VFS_ROM_IOCTL (1)
#define MICROPY_FATFS_ENABLE_LFN (1)
#define MICROPY_FATFS_RPATH (2)
#define MICROPY_KBD_EXCEPTION (1)
#define MICROPY_STACK_CHECK (1)
#define MICROPY_FLOAT_IMPL (MICROPY_FLOAT_IMPL_DOUBLE)

void ticks_wait(int timeout_ms);
#define MICROPY_INTERNAL_WFE(TIMEOUT_MS) ticks_wait(TIMEOUT_MS)
