"""What drives and records. Locust is imported by the scenarios and by what serves them, nowhere else."""
