"""In a task worker."""
