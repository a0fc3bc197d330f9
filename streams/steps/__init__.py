"""Pure steps of the flow: arrays in, arrays out; no clock, socket or await."""
