# A simulated NUCLEO_F767ZI: MicroPython's qemu port on qemu's mps2-an500 (Cortex-M7), out of tree and unpatched.
# Build it with `ditmos firmware build sim`.
QEMU_ARCH = arm
QEMU_MACHINE = mps2-an500
CFLAGS += -mthumb -mcpu=cortex-m7 -mfloat-abi=hard -mfpu=fpv5-d16
CFLAGS += -DQEMU_SOC_MPS2
CFLAGS += -DMP_CONFIGFILE='"sim_mpconfig.h"' -I$(BOARD_DIR)
LDSCRIPT = $(BOARD_DIR)/sim.ld
SRC_BOARD_O = shared/runtime/gchelper_native.o shared/runtime/gchelper_thumb2.o
SRC_C += $(addprefix $(BOARD_DIR)/, main.c console.c ticks.c romfs.c) \
	$(BOARD_DIR)/../NUCLEO_F767ZI_DITMOS/modtcm.c shared/timeutils/timeutils.c
MPY_CROSS_FLAGS += -march=armv7emdp
FROZEN_MANIFEST = $(BOARD_DIR)/manifest.py
MICROPY_VFS_FAT = 1
MICROPY_HEAP_SIZE = 1024 # the port's own heap, dropped by --gc-sections: main.c takes all RAM up to the stack

# Double floats, as on the NUCLEO_F767ZI. Later versions of the port have a switch for them.
ifneq ($(shell grep MICROPY_FLOAT_IMPL $(TOP)/ports/qemu/Makefile),)
MICROPY_FLOAT_IMPL = double
SUPPORTS_HARDWARE_FP_DOUBLE = 1
else
LIB_SRC_C += $(SRC_LIB_LIBM_DBL_C) $(SRC_LIB_LIBM_DBL_SQRT_HW_C)
endif

# The port's versions of what this board defines itself get other names, and the linker drops them.
$(BUILD)/main.o: CFLAGS += -Dmain=qemu_main
$(BUILD)/mphalport.o: CFLAGS += $(foreach name, \
	mp_hal_stdio_poll mp_hal_stdin_rx_chr mp_hal_stdout_tx_strn \
	mp_hal_ticks_ms mp_hal_ticks_us mp_hal_ticks_cpu mp_hal_delay_ms mp_hal_delay_us, -D$(name)=qemu_$(name))
$(BUILD)/mcu/arm/ticks.o: CFLAGS += -Dticks_init=qemu_ticks_init -DSysTick_Handler=qemu_SysTick_Handler
$(BUILD)/vfs_rom_ioctl.o: CFLAGS += -Dmp_vfs_rom_ioctl=qemu_mp_vfs_rom_ioctl
# machine.reset() resets the board; the port's would end qemu.
$(BUILD)/extmod/modmachine.o: CFLAGS += -Dexit=board_reset
