"""Networks that others trained, each turned once into a graph that Echoic runs without torch.

A family's module has ``build(paths, family)``, which reads the weights that were fetched and returns what
:func:`add` writes: a network from waveform to unit vector, front end included, and how it is to be windowed.
The front end lies in the graph, so that a digest of one file stands for all that decides on a vector.
"""

from echoic.pretrained.models import Added, add, remove

__all__ = ["Added", "add", "remove"]
