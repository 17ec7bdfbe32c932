"""The quarantine: count its lines, show them, export them, and judge them again."""
