"""`python -m ditmos` is the `ditmos` command."""

from ditmos.cli import main

if __name__ == "__main__":
    main()
