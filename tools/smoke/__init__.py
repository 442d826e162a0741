"""Smoke test of long waits against a deployment: plain ones and a stream (docs/waits.md)."""
