"""The compose launcher: topologies as containers of docker-compose.yml."""
