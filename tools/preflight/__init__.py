"""Checks of an account before the first apply: what Terraform would only find out while it creates resources."""
