# cmake -DUSER_C_MODULES=<this file>, for the ports that use cmake.
add_library(usermod_ditmos INTERFACE)

target_sources(usermod_ditmos INTERFACE
    ${CMAKE_CURRENT_LIST_DIR}/module.c
    ${CMAKE_CURRENT_LIST_DIR}/model.c
    ${CMAKE_CURRENT_LIST_DIR}/plan.c
    ${CMAKE_CURRENT_LIST_DIR}/engine.c
    ${CMAKE_CURRENT_LIST_DIR}/slide.c
    ${CMAKE_CURRENT_LIST_DIR}/quantize.c
    ${CMAKE_CURRENT_LIST_DIR}/kernels.c
    ${CMAKE_CURRENT_LIST_DIR}/kernels_ref.c
    ${CMAKE_CURRENT_LIST_DIR}/kernels_smlad.c
)

target_link_libraries(usermod INTERFACE usermod_ditmos)
