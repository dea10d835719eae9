# Import of the package `ditmos`: a module of its own, apart from inference (cmodule/).
DITMOS_IMPORT_DIR := $(USERMOD_DIR)

SRC_USERMOD_C += $(DITMOS_IMPORT_DIR)/import_hook.c
CFLAGS_USERMOD += -Dmp_builtin___import__=ditmos_import
