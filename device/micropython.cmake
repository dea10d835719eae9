# For the ports that use cmake: included beside cmodule/micropython.cmake.
add_library(usermod_ditmos_import INTERFACE)
target_sources(usermod_ditmos_import INTERFACE ${CMAKE_CURRENT_LIST_DIR}/import_hook.c)
target_compile_definitions(usermod_ditmos_import INTERFACE mp_builtin___import__=ditmos_import)
target_link_libraries(usermod INTERFACE usermod_ditmos_import)
