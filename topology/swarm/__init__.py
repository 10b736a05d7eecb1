"""The twins on a swarm: docker-compose.yml with deploy/swarm.yml laid over it."""
