"""What running on an engine beyond this machine needs: its flags, its programs, its workers, its messages."""
