# make -C ports/... USER_C_MODULES=<root of this repository>
DITMOS_MOD_DIR := $(USERMOD_DIR)

SRC_USERMOD_C += $(addprefix $(DITMOS_MOD_DIR)/, functions.c module.c model_feed.c model_forest.c model_new.c model_object.c)

# A name that is new there is looked for in every file again, or a build of before fails.
QSTR_GLOBAL_DEPENDENCIES += $(DITMOS_MOD_DIR)/names.h

# These hold no qstrs.
SRC_USERMOD_LIB_C += $(addprefix $(DITMOS_MOD_DIR)/, \
    file.c \
    model.c \
    sections.c \
    section_layers.c \
    plan.c \
    plan_dryrun.c \
    engine.c \
    padding.c \
    slide.c \
    feed.c \
    frontend.c \
    frontend_parse.c \
    operations.c \
    summary.c \
    forest.c \
    spectrum.c \
    spectrum_tables.c \
    inputs.c \
    samples.c \
    kernels.c \
    kernels_dot.c \
    kernels_m7_channels.c \
    kernels_m7_fc.c \
    kernels_m7_pairs.c \
    kernels_m7_packed.c \
    kernels_m7_quads.c \
    kernels_packed.c \
    kernels_ref.c \
    kernels_smlad.c \
    )

# Empty but on cores with the DSP extension.
SRC_USERMOD_LIB_ASM += $(DITMOS_MOD_DIR)/kernels_m7_depthwise.S $(DITMOS_MOD_DIR)/kernels_m7_lanes.S $(DITMOS_MOD_DIR)/kernels_m7_pack.S $(DITMOS_MOD_DIR)/kernels_m7_smlad.S $(DITMOS_MOD_DIR)/kernels_m7_taps.S $(DITMOS_MOD_DIR)/spectrum_m7.S
