"""What keeps a lake healthy, beside the runs that fill it."""
