"""Listeners: what `bind` means, and the bound sockets."""
