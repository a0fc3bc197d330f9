"""JT/T 808: road-vehicle terminals speaking to the platform, editions 2011, 2013 and 2019."""
