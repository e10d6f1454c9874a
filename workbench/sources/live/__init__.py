"""What every live provider needs, whichever client it speaks through: the key, the watched connection, rows, paced history."""
