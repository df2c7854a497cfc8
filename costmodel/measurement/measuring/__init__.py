"""Time a real model or operator here, and calibrate a device profile of this machine."""
