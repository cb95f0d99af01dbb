"""What a run measures of itself: losses, speed against the device's peak, energy, carbon."""
