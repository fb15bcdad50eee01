"""The answer as a tool, through the client of the Model Context Protocol's Python library. The argument is the server's URL."""

import asyncio
import sys

from mcp.client.client import Client


async def main(url):
    async with Client(url + "/mcp") as client:
        assert client.protocol_version == "2026-07-28", client.protocol_version
        assert [tool.name for tool in (await client.list_tools()).tools] == ["answer"]
        told = []

        async def progress(done, total, message):
            told.append((done, total, message))

        question = {"prompt": "why?", "tokens": 20, "rate": 100}
        result = await client.call_tool("answer", question, progress_callback=progress)
        assert [done for done, _, _ in told] == list(range(1, 21)), told
        assert all(total == 20 for _, total, _ in told), told
        text = "".join(message for _, _, message in told)
        assert not result.is_error and result.content[0].text == text, (result, text)
        whole = await client.call_tool("answer", question)
        assert whole.content[0].text == text, whole
        wrong = await client.call_tool("answer", {"prompt": "why?", "tokens": 0})
        assert wrong.is_error and "tokens: a number from 1" in wrong.content[0].text, wrong
        try:
            await client.call_tool("other", {})
        except Exception as error:
            assert "the only tool is answer" in str(error), error
        else:
            raise AssertionError("other")


asyncio.run(main(sys.argv[1]))
