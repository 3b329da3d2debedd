"""Generators of the rules, the dashboards and the reference documents; not part of the installed package."""
