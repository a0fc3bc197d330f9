"""IEC 60870-5-104: telecontrol of substations, pump stations and heat exchangers over TCP."""
