# What every firmware carries frozen. A file of the same name on the board or under a mounted folder comes first in
# sys.path and wins.
package("ditmos", base_path=".")
