# _ditmos.mpy, a native module for one architecture: `ditmos firmware build natmod` writes a Makefile that names MPY_DIR,
# ARCH and this folder (DITMOS), and runs it in the folder of the architecture.
USERMOD_DIR := $(DITMOS)
include $(DITMOS)/micropython.mk

MOD = _ditmos
SRC = natmod.c $(filter-out module.c,$(notdir $(SRC_USERMOD_C) $(SRC_USERMOD_LIB_C)))
ifneq ($(filter armv7em%,$(ARCH)),)
SRC += $(notdir $(SRC_USERMOD_LIB_ASM))
endif
vpath %.c $(DITMOS)
vpath %.S $(DITMOS)

BUILD = build
MICROPY_FLOAT_IMPL := $(if $(filter x64 armv7emdp,$(ARCH)),double,float)
LINK_RUNTIME = $(if $(filter arm%,$(ARCH)),1,)
# A function of the C library must not become a call of itself.
CFLAGS_EXTRA = -std=c11 -DDITMOS_NATMOD=1 -I$(DITMOS) -fno-tree-loop-distribute-patterns

include $(MPY_DIR)/py/dynruntime.mk

# Names that MicroPython has to know.
$(CONFIG_H): names.h
vpath %.h $(DITMOS)
