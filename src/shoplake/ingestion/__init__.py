"""One run: plan, check, publish, report."""
