"""The quarantined lines as something to work with: counted, shown, given back, and judged anew."""
