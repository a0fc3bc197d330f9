"""GB/T 32960.3: electric vehicles report battery, drive and position."""
