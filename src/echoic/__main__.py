"""``python -m echoic``, where the ``echoic`` script is not on the path."""

from echoic.cli import main

main()
