// Import of the package `ditmos`: every module of the frozen one gives way to a file of the same name.
//
// MicroPython takes a whole package from the first folder of sys.path that has one: a folder with nothing but an edited
// ditmos/routing.py would hide all the rest. This import handler (py/builtin.h) looks for each module of the package on
// its own, in ditmos/ of every folder of sys.path, and among the frozen ones last. The makefile puts it in place, with
// -Dmp_builtin___import__=ditmos_import.

#include <string.h>

#include "py/builtin.h"
#include "py/objlist.h"
#include "py/runtime.h"

#define PACKAGE "ditmos"
#define INIT "__init__"

#if MICROPY_ENABLE_EXTERNAL_IMPORT && MICROPY_PY_SYS

// sys.path, while the package itself is looked for in one folder; else MP_OBJ_NULL.
MP_REGISTER_ROOT_POINTER(mp_obj_t ditmos_sys_path);

static void restore_sys_path(void) {
    if (MP_STATE_VM(ditmos_sys_path) != MP_OBJ_NULL) {
        mp_sys_path = MP_STATE_VM(ditmos_sys_path);
        MP_STATE_VM(ditmos_sys_path) = MP_OBJ_NULL;
    }
}

// Whether there is PATH/module as import takes it: a folder, a .py or a .mpy file.
static bool has_module(vstr_t *path, const char *module, size_t size) {
    static const char suffixes[][5] = {"", ".py", ".mpy"};
    if (mp_import_stat(vstr_null_terminated_str(path)) != MP_IMPORT_STAT_DIR) {
        return false;
    }
    size_t folder = path->len;
    bool found = false;
    for (size_t i = 0; i < MP_ARRAY_SIZE(suffixes) && !found; i++) {
        vstr_add_char(path, '/');
        vstr_add_strn(path, module, size);
        vstr_add_str(path, suffixes[i]);
        mp_import_stat_t stat = mp_import_stat(vstr_null_terminated_str(path));
        found = stat == (i == 0 ? MP_IMPORT_STAT_DIR : MP_IMPORT_STAT_FILE);
        path->len = folder;
    }
    return found;
}

// The folder of sys.path whose ditmos/ has the module, MP_OBJ_NULL if none; `path` becomes the path of that ditmos/.
static mp_obj_t find(const char *module, size_t size, vstr_t *path) {
    size_t count;
    mp_obj_t *folders;
    mp_obj_get_array(mp_sys_path, &count, &folders);
    mp_obj_t frozen = MP_OBJ_NULL;
    for (size_t i = 0; i < count; i++) {
        vstr_reset(path);
        vstr_add_str(path, mp_obj_str_get_str(folders[i]));
        if (strcmp(vstr_null_terminated_str(path), ".frozen") == 0) {
            frozen = folders[i];
            continue;
        }
        vstr_add_str(path, path->len ? "/" PACKAGE : PACKAGE);
        if (has_module(path, module, size)) {
            return folders[i];
        }
    }
    vstr_reset(path);
    vstr_add_str(path, ".frozen/" PACKAGE);
    return frozen;
}

// The name behind "ditmos." of the module that is to be imported, "" for the package itself, NULL for any other import.
static const char *wanted(size_t n_args, const mp_obj_t *args) {
    const char *name = mp_obj_str_get_str(args[0]);
    mp_int_t level = n_args >= 5 ? MP_OBJ_SMALL_INT_VALUE(args[4]) : 0;
    const size_t size = sizeof(PACKAGE) - 1;
    if (level == 0) {
        bool ours = strncmp(name, PACKAGE, size) == 0 && (name[size] == '\0' || name[size] == '.');
        return ours ? name + size + (name[size] == '.') : NULL;
    }
    mp_map_elem_t *importer = mp_map_lookup(&mp_globals_get()->map, MP_OBJ_NEW_QSTR(MP_QSTR___name__), MP_MAP_LOOKUP);
    const char *from = importer ? mp_obj_str_get_str(importer->value) : "";
    bool ours = strncmp(from, PACKAGE, size) == 0 && (from[size] == '\0' || from[size] == '.');
    // `from .x import` in a module of the package, not in one of a package inside it.
    return ours && level == 1 && !strchr(from + size + (from[size] == '.'), '.') ? name : NULL;
}

static mp_obj_t loaded(qstr name) {
    mp_map_elem_t *found =
        mp_map_lookup(&MP_STATE_VM(mp_loaded_modules_dict).map, MP_OBJ_NEW_QSTR(name), MP_MAP_LOOKUP);
    return found ? found->value : MP_OBJ_NULL;
}

// Import the package from the folder that has its __init__, though one with single modules may come before that.
static void import_package(void) {
    VSTR_FIXED(path, MICROPY_ALLOC_PATH_MAX);
    mp_obj_t folder = find(INIT, sizeof(INIT) - 1, &path);
    const mp_obj_t name = MP_OBJ_NEW_QSTR(MP_QSTR_ditmos);
    nlr_buf_t nlr;
    if (nlr_push(&nlr) == 0) {
        if (folder != MP_OBJ_NULL) {
            MP_STATE_VM(ditmos_sys_path) = mp_sys_path;
            mp_sys_path = mp_obj_new_list(1, &folder);
        }
        mp_builtin___import___default(1, &name);
        nlr_pop();
        restore_sys_path();
    } else {
        restore_sys_path();
        nlr_jump(nlr.ret_val);
    }
}

mp_obj_t ditmos_import(size_t n_args, const mp_obj_t *args) {
    restore_sys_path(); // an import in the package's __init__: that has been found
    const char *module = wanted(n_args, args);
    if (module) {
        if (loaded(MP_QSTR_ditmos) == MP_OBJ_NULL) {
            import_package();
        }
        size_t size = strcspn(module, ".");
        VSTR_FIXED(path, MICROPY_ALLOC_PATH_MAX);
        vstr_add_str(&path, PACKAGE ".");
        vstr_add_strn(&path, module, size);
        if (size && loaded(qstr_from_strn(path.buf, path.len)) == MP_OBJ_NULL
            && find(module, size, &path) != MP_OBJ_NULL) {
            // Where import looks for modules of a package.
            mp_store_attr(loaded(MP_QSTR_ditmos), MP_QSTR___path__, mp_obj_new_str(path.buf, path.len));
        }
    }
    return mp_builtin___import___default(n_args, args);
}

#else

mp_obj_t ditmos_import(size_t n_args, const mp_obj_t *args) {
    return mp_builtin___import___default(n_args, args);
}

#endif
