"""Engines: what computes. Each reads, checks and aggregates; none commits."""
