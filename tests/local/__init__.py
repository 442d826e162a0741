"""Tests of the embedded local AWS over real sockets."""
