"""From integers to a board: RTL packages, whole test sets through them, bitstreams."""
