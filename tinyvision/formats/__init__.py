"""File formats, read once and without running anything in them; every limit on hostile files stands here."""
