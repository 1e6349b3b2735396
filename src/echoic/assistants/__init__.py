"""A library as tools of assistants, by the Model Context Protocol (MCP), over pipes or HTTP.

Each tool is asked with values of one shape (``asked``) and answers with another (``told``), and with the same
as text. What it may read is decided in one place (``examples``); :mod:`echoic.server.service` does the work.
"""
