"""OPC UA: values of SCADA servers, subscribed to with their time and quality."""
