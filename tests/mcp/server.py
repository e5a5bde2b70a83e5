"""A server over streamable HTTP, by the official SDK: sessions, and answers as streams of events."""

import sys

from mcp.server.mcpserver import Context, MCPServer

server = MCPServer("notes")


@server.tool()
async def add(a: int, b: int, context: Context) -> int:
    """Adds two numbers."""
    await context.report_progress(1, 2)
    return a + b


@server.tool()
def refuse(why: str) -> str:
    """Always fails."""
    raise ValueError(why)


server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
