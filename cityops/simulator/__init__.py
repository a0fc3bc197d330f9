"""A simulated city of devices that speak real protocols to our own connectors, with labelled faults."""
