"""Launches that each engine starts, drawn at random, and commands of them spelled in other ways."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from hypothesis import strategies as st
from kimi_backend.engines import ENGINES
from kimi_backend.launch import CPUExperts, EngineName, Invocation, Launch, Node, Site

NODES_AND_GPUS = ((1, 1), (1, 2), (1, 8), (2, 8), (4, 8), (3, 8), (2, 4))


def divisors(number: int) -> list[int]:
    return [n for n in range(1, number + 1) if number % n == 0]


@st.composite
def launches(draw: st.DrawFn, name: EngineName) -> Launch:
    """Any legal launch of an engine: written from what the engines document, not from what our code refuses."""
    nodes, gpus = draw(st.sampled_from(NODES_AND_GPUS if name != "ktransformers" else NODES_AND_GPUS[:3]))
    kv, fraction = draw(st.sampled_from(("bf16", "fp8"))), draw(st.integers(1, 99)) / 100
    each = draw(st.none() | st.integers(1, 512))
    base = Launch(
        engine=name,
        nodes=nodes,
        gpus_per_node=gpus,
        tp=nodes * gpus,
        context=draw(st.integers(1, 262_144)),
        memory_fraction=fraction,
        kv_dtype=kv,
        max_running=each,
        thinking=name != "tensorrt-llm" and draw(st.booleans()),
        low_latency=draw(st.booleans()),
    )
    if name == "ktransformers":
        return replace(base, cpu_experts=draw(cpu_experts()))
    return draw(parallel(base, each))


@st.composite
def parallel(draw: st.DrawFn, base: Launch, each: int | None) -> Launch:
    pp = draw(st.sampled_from(divisors(base.tp)))
    tp = base.tp // pp
    groups, ep, dcp, role = 1, 1, 1, "serve"
    match base.engine:
        case "sglang":
            groups, ep = draw(st.sampled_from(divisors(tp))), draw(st.sampled_from(divisors(tp)))
            role = draw(st.sampled_from(("serve", "prefill", "decode")))
        case "vllm":
            in_one_node = [n for n in divisors(tp) if n == 1 or n % base.nodes == 0]
            groups, ep = draw(st.sampled_from(in_one_node)), draw(st.sampled_from((1, tp)))
            dcp = draw(st.sampled_from(divisors(tp // groups)))
        case _:
            groups, ep = draw(st.sampled_from((1, tp))), draw(st.sampled_from(divisors(tp)))
    total = each if each is None or base.engine == "sglang" else each * groups
    return replace(base, pp=pp, tp=tp, attention_dp=groups, ep=ep, dcp=dcp, role=role, max_running=total)


def cpu_experts() -> st.SearchStrategy[CPUExperts]:
    return st.builds(
        lambda gpu, threads, numa, method: CPUExperts(gpu_experts=gpu, threads=threads * numa, numa_nodes=numa, method=method),
        st.integers(0, 384),
        st.integers(1, 64),
        st.integers(1, 8),
        st.sampled_from(("RAWINT4", "FP8", "BF16")),
    )


awkward = st.sampled_from(
    (
        "/models/Kimi K2",
        '/m/it\'s "K2"',
        "/m/$(reboot)`id`",
        "/m/two\nlines",
        "/m/100%{{x}}",
        "/模型/k2",
        "/m/a=b",
        "~/#not a comment",
    )
)
sites = st.builds(
    Site,
    model_path=awkward,
    served_name=st.sampled_from(("kimi-k2", "my model", "k2'\"$x", "K2;rm")),
    host=st.sampled_from(("127.0.0.1", "0.0.0.0", "::1")),
    port=st.integers(1024, 19_000),
    rendezvous_port=st.integers(20_000, 65_535),
    interface=st.sampled_from((None, "bond0")),
    infiniband=st.sampled_from(((), ("mlx5_0",), ("mlx5_0", "mlx5_1"))),
)


def commands(launch: Launch, site: Site, head: str = "10.0.0.1") -> list[Invocation]:
    """What each node runs, in rank order."""
    engine = ENGINES[launch.engine]
    return [engine.invocation(launch, site, Node(rank=str(r), head=head, is_head=r == 0)) for r in range(launch.nodes)]


def respelled(invocation: Invocation, seed: int) -> Invocation:
    """The same command with its flags in another order, some as --flag=value."""
    chance = random.Random(seed)
    words = invocation.argv
    first = next(i for i, word in enumerate(words) if word.startswith("--"))
    groups: list[list[str]] = []
    for word in words[first:]:
        if word.startswith("--"):
            groups.append([word])
        else:
            groups[-1].append(word)
    chance.shuffle(groups)
    spelled = [["=".join(group)] if len(group) == 2 and chance.random() < 0.5 else group for group in groups]
    return replace(invocation, argv=(*words[:first], *(word for group in spelled for word in group)))


def with_words(invocation: Invocation, *words: str) -> Invocation:
    """The command with more words behind it."""
    return replace(invocation, argv=(*invocation.argv, *words))


def with_value(invocation: Invocation, flag: str, value: str) -> Invocation:
    """The command with another value behind a flag."""
    words = list(invocation.argv)
    words[words.index(flag) + 1] = value
    return replace(invocation, argv=tuple(words))


def without(invocation: Invocation, words: Sequence[str]) -> Invocation:
    """The command without these words, which follow each other in it."""
    argv = list(invocation.argv)
    at = next(i for i in range(len(argv)) if argv[i : i + len(words)] == list(words))
    return replace(invocation, argv=(*argv[:at], *argv[at + len(words) :]))
