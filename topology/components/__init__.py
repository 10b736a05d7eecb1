"""One file per component; each returns a frozen `Component` that a launcher can start."""
