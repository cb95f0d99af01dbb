"""Two runs side by side: what differs in their settings, and what became of which document."""
