"""Commands for those who work on the project; the service and its image use none of them."""
