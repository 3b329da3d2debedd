"""Tests of what is allowed."""
