"""CJ/T 188: water, heat, gas and other household meters over a line carried by TCP."""
