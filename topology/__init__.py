"""What runs, and where: components out of packages, started in order, always stopped in reverse."""
