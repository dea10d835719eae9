# What every firmware carries frozen. Files of the same name on the board, or under a mounted folder, come before it:
# device/import_hook.c.
package("ditmos", base_path=".")
