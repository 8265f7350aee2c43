"""The blocking worker classes and what they share."""
