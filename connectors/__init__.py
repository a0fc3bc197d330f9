"""Wire to readings: one folder per protocol, named by its standard, found without a list."""
