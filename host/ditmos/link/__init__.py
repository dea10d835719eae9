"""The host's end of a board: its REPL, streams, recording, deployment, verification."""
