"""Readers of saved kernel logs (dmesg, journalctl, syslog, console): bytes in, lines out. Pure."""
