"""The official rules by which answers are read and scored, apart from the files and models they are used with."""
