"""Made events, and files of them."""
