"""What operators see: logs now; metrics and hang reports later."""
