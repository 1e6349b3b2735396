"""A library as a service: HTTP routes over :class:`echoic.library.Library`, with what guards them.

A room of one library: who asks is checked first (``guard``, ``keys``), work that takes time runs in a bounded
number of threads (``limits``), and every refusal is a problem of RFC 9457 (``problems``).
"""
