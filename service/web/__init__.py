"""The HTTP interface: requests in, responses out."""
