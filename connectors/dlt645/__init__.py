"""DL/T 645: electricity meters, polled or listened to over a serial line carried by TCP."""
