"""What is learned: reads results/, never a live system."""
