# NUCLEO_F767ZI_DITMOS: MicroPython's NUCLEO_F767ZI, out of tree and unpatched, with the `_ditmos` module.
# `ditmos firmware build nucleo` runs, in ports/stm32 of MicroPython 1.25.0 (submodule lib/stm32lib only):
#   make BOARD_DIR=<this folder> USER_C_MODULES=<repository root> BUILD=... MPY_LIB_DIR=../..
include boards/NUCLEO_F767ZI/mpconfigboard.mk

# No Ethernet, so neither lwIP nor mbedTLS (nor their submodules).
MICROPY_PY_LWIP = 0
MICROPY_PY_SSL = 0
MICROPY_SSL_MBEDTLS = 0

# One linker script: the memory map of this board and the port's own section fragments.
LD_FILES = $(BOARD_DIR)/f767zi_ditmos.ld
# objcopy keeps only the sections named here: without .itcm the .bin and .dfu would lack the kernels.
TEXT1_SECTIONS = .itcm .text .data .ARM

FROZEN_MANIFEST = $(BOARD_DIR)/manifest.py

SRC_C += boards/NUCLEO_F767ZI/board_init.c $(BOARD_DIR)/rom_ioctl.c
# The port's version of what rom_ioctl.c extends gets another name.
$(BUILD)/vfs_rom_ioctl.o: CFLAGS += -Dmp_vfs_rom_ioctl=stm32_mp_vfs_rom_ioctl
# The stock board's pins; pins.csv beside this file only satisfies the port's pattern rule.
override BOARD_PINS := boards/NUCLEO_F767ZI/pins.csv

# No path of the machine that builds gets into the image, nor, through the assembler, into the ELF's debug information.
# `override`: the command line may have CFLAGS_EXTRA too.
comma := ,
PREFIX_MAPS = $(abspath $(BOARD_DIR)/../..)=. $(abspath $(TOP))=micropython
override CFLAGS_EXTRA += $(addprefix -ffile-prefix-map=, $(PREFIX_MAPS)) $(addprefix -Wa$(comma)--debug-prefix-map=, $(PREFIX_MAPS))
AFLAGS += $(addprefix --debug-prefix-map=, $(PREFIX_MAPS))
