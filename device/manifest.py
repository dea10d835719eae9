# What every firmware carries frozen. A copy of the folder on the board, or under a mounted one, comes before it in
# sys.path.
package("ditmos", base_path=".")
