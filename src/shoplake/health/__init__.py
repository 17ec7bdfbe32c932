"""How a lake is doing: its state, checks, metrics and lineage, and an examination of the installation."""
