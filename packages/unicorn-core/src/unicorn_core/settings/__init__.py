"""Settings: declared once, merged from several sources, each value with its origin."""
