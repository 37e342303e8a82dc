"""Numbers that help texts tell as well, which must not wait for numpy."""

TEST_FRACTION = 0.2
"""Share of each class that is tested on, of one's own data without test images."""
