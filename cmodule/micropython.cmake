# cmake -DUSER_C_MODULES=<this file>, for the ports that use cmake.
add_library(usermod_ditmos INTERFACE)

set(DITMOS_SOURCES
    functions.c
    module.c
    model_feed.c
    model_forest.c
    model_new.c
    model_object.c
    file.c
    model.c
    sections.c
    section_layers.c
    plan.c
    plan_dryrun.c
    engine.c
    padding.c
    slide.c
    feed.c
    frontend.c
    frontend_parse.c
    operations.c
    summary.c
    forest.c
    spectrum.c
    spectrum_tables.c
    inputs.c
    samples.c
    kernels.c
    kernels_dot.c
    kernels_m7_channels.c
    kernels_m7_fc.c
    kernels_m7_pairs.c
    kernels_m7_packed.c
    kernels_m7_quads.c
    kernels_packed.c
    kernels_ref.c
    kernels_smlad.c
)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "arm|cortex")
    list(APPEND DITMOS_SOURCES kernels_m7_depthwise.S kernels_m7_lanes.S kernels_m7_pack.S kernels_m7_smlad.S kernels_m7_taps.S spectrum_m7.S) # empty but on cores with the DSP extension
endif()
list(TRANSFORM DITMOS_SOURCES PREPEND ${CMAKE_CURRENT_LIST_DIR}/)

target_sources(usermod_ditmos INTERFACE ${DITMOS_SOURCES})
target_link_libraries(usermod INTERFACE usermod_ditmos)
