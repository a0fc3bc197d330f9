"""CityOps: streams."""
