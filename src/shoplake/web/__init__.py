"""The dashboard: a lake in the browser, read-only."""
