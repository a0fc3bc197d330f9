"""HFP: events of city buses over MQTT, as Helsinki's transport authority defined them."""
