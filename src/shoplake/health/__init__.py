"""What tells how a lake is doing."""
