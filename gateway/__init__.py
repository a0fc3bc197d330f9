"""CityOps: gateway."""
