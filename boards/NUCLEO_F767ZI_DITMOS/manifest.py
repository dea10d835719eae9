include("$(MPY_DIR)/extmod/asyncio")
package("ditmos", base_path="../../device")
