"""The runtimes of actors: threads and real time, a pool of threads, or a seeded scheduler with a
virtual clock.
"""
