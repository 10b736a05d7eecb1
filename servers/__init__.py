"""The system under test: twin Flask servers, alike in everything but how they recognise a user.

Knows nothing of benchmarks and imports nothing else of ours.
"""
