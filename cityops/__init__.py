"""CityOps: cityops."""
