"""How web workers, task workers and other programs call task apps."""
