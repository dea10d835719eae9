include("$(MPY_DIR)/extmod/asyncio")
include("../../device/manifest.py")
