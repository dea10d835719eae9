module("_boot.py", base_path="frozen")
include("../../device/manifest.py")
