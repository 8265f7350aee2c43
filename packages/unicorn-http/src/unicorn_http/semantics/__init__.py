"""What HTTP means, without I/O: the rules stand here once, for every protocol, parser and worker class."""
