"""Reads plain lines in C: :mod:`library` finds and checks the compiled part, :mod:`reader` is its reader of one file."""
