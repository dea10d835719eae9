// The functions of the `_ditmos` module, as Python calls them: _ditmos.pyi.
#ifndef DITMOS_FUNCTIONS_H
#define DITMOS_FUNCTIONS_H

#include "runtime.h"

MP_DECLARE_CONST_FUN_OBJ_1(ditmos_argmax_obj);
MP_DECLARE_CONST_FUN_OBJ_1(ditmos_lead_obj);
MP_DECLARE_CONST_FUN_OBJ_VAR_BETWEEN(ditmos_chosen_obj);
MP_DECLARE_CONST_FUN_OBJ_3(ditmos_narrow_obj);
MP_DECLARE_CONST_FUN_OBJ_2(ditmos_watch_obj);

#endif // DITMOS_FUNCTIONS_H
