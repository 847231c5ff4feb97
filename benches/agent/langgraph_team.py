"""What a step of an agent costs in LangGraph: the team of `team.rs`, on LangGraph's own savers.

    langgraph_team.py FOLDER POSTGRES_URL [--short]

One run is a graph of four workers side by side, each of which decides and calls a tool with 200 bytes, so many times; every step is saved
before the next (`durability="sync"`). `graph` is written by hand of two nodes; `react` is the agent that LangGraph has prebuilt, with a
chat model that says what it is told. Rows of a table go to stdout, as those of `main.rs`.
"""

import asyncio
import os
import sys
import time
from contextlib import AsyncExitStack
from typing import Annotated, Any, TypedDict

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.prebuilt import create_react_agent
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

WORKERS = 4


@tool
def work(what: str) -> str:
    """Works."""
    return what


class Worker(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]


def decision(messages: list[AnyMessage], steps: int) -> AIMessage:
    """What the model of a worker says next."""
    made = sum(isinstance(message, ToolMessage) for message in messages)
    if made >= steps:
        return AIMessage(content=str(made))
    return AIMessage(content="", tool_calls=[{"name": "work", "args": {"what": f"{made:0200}"}, "id": f"c{made}"}])


class Scripted(BaseChatModel):
    """A chat model that makes so many calls and is done."""

    steps: int

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Any, **kwargs: Any) -> "Scripted":
        return self

    def _generate(self, messages: list[AnyMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=decision(messages, self.steps))])


def by_hand(steps: int) -> Any:
    async def decide(state: Worker) -> dict[str, Any]:
        return {"messages": [decision(state["messages"], steps)]}

    async def call(state: Worker) -> dict[str, Any]:
        asked = state["messages"][-1].tool_calls[0]
        return {"messages": [ToolMessage(content=asked["args"]["what"], tool_call_id=asked["id"])]}

    def goes_on(state: Worker) -> str:
        return "call" if state["messages"][-1].tool_calls else END

    graph = StateGraph(Worker)
    graph.add_node("decide", decide)
    graph.add_node("call", call)
    graph.add_edge(START, "decide")
    graph.add_conditional_edges("decide", goes_on, ["call", END])
    graph.add_edge("call", "decide")
    return graph.compile()


def prebuilt(steps: int) -> Any:
    return create_react_agent(Scripted(steps=steps), [work])


def done(old: int | None, new: int | None) -> int:
    return (old or 0) + (new or 0)


class Team(TypedDict):
    made: Annotated[int, done]


def team(worker: Any, steps: int, saver: Any) -> Any:
    async def part(state: Team) -> dict[str, int]:
        ended = await worker.ainvoke({"messages": [HumanMessage(content=str(steps))]}, {"recursion_limit": 4 * steps + 50})
        return {"made": int(ended["messages"][-1].content)}

    graph = StateGraph(Team)
    for n in range(WORKERS):
        graph.add_node(f"worker{n}", part)
        graph.add_edge(START, f"worker{n}")
        graph.add_edge(f"worker{n}", END)
    return graph.compile(checkpointer=saver)


async def run(graph: Any, runs: int, steps: int, begun: str) -> None:
    async def one(n: int) -> None:
        config = {"configurable": {"thread_id": f"{begun}-{n}"}, "recursion_limit": 100}
        ended = await graph.ainvoke({"made": 0}, config, durability="sync")
        assert ended["made"] == WORKERS * steps, ended

    await asyncio.gather(*(one(n) for n in range(runs)))


async def main() -> None:
    folder, url = sys.argv[1:3]
    is_short = sys.argv[3:] == ["--short"]
    cases = [(1, 5), (4, 5)] if is_short else [(1, 20), (1, 100), (32, 20), (256, 20)]
    async with AsyncExitStack() as stack:
        sqlite = await stack.enter_async_context(AsyncSqliteSaver.from_conn_string(os.path.join(folder, "langgraph.db")))
        options = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}
        pool = await stack.enter_async_context(AsyncConnectionPool(url, min_size=4, max_size=16, timeout=600, kwargs=options))
        postgres = AsyncPostgresSaver(pool)
        await sqlite.setup()
        await postgres.setup()
        for name, saver in [("memory", InMemorySaver()), ("SQLite", sqlite), ("PostgreSQL", postgres)]:
            for shape, worker in [("graph", by_hand), ("react", prebuilt)]:
                for runs, steps in cases:
                    graph = team(worker(steps), steps, saver)
                    begun, before = time.perf_counter(), time.process_time()
                    await run(graph, runs, steps, f"{name}-{shape}-{runs}-{steps}")
                    took, busy = time.perf_counter() - begun, time.process_time() - before
                    every = runs * WORKERS * steps
                    row = f"| LangGraph, {shape}, {name} | {runs} | {steps} | {every / took:.0f} | {busy * 1e6 / every:.1f} |"
                    print(row + f" {took * 1e3 / steps:.2f} |", flush=True)


asyncio.run(main())
