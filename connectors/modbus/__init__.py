"""Modbus over TCP, and Modbus RTU through serial gateways: pump stations, heat exchangers, meters, lamp controllers."""
