"""When modules were loaded and unloaded, decided from the module list, the trace and uevents. Pure."""
