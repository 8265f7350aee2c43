"""What travels between clients, the dispatcher and task workers, and over what."""
