"""For development: noticing that files of the application have changed, and showing what is wrong with them."""
