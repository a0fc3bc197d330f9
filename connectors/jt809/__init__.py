"""JT/T 809: road-transport platforms exchanging vehicles, alarms, drivers and waybills over TCP."""
