"""Commands for development and planning; neither the package nor the images contain them."""
