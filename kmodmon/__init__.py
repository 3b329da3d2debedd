"""kmodmon: what is loaded into the kernel, where it came from, who put it there, and what it did to its trust."""

__version__ = "0.1.0"
