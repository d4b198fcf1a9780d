"""Command lines that people publish and mistype, against the snapshots of the engines' own parsers."""

from __future__ import annotations

import shlex

import pytest
from kimi_backend.engines.flags import FlagError, Problem, load

SGLANG = "--model-path /m --tp-size 16 --nnodes 2 --node-rank 1 --dist-init-addr 10.0.0.1:20000 --trust-remote-code"


def problems(engine: str, line: str, version: str | None = None) -> dict[str, Problem]:
    return {problem.flag: problem for problem in load(engine, version).check(shlex.split(line))}


def told(engine: str, line: str, version: str | None = None) -> list[tuple[str, str, str, str | None]]:
    found = load(engine, version).check(shlex.split(line))
    return [(problem.severity, problem.kind, problem.flag, problem.successor) for problem in found]


def test_the_16_gpu_command_of_the_facts_is_accepted() -> None:
    line = f"{SGLANG} --served-model-name kimi-k2 --tool-call-parser kimi_k2 --host 0.0.0.0 --port 30000"
    line += " --mem-fraction-static 0.85 --context-length 131072 --kv-cache-dtype fp8_e4m3 --enable-metrics"
    assert told("sglang", line) == []
    parsed = load("sglang").parse(shlex.split(line))
    assert (parsed["tp_size"], parsed["nnodes"], parsed["node_rank"]) == (16, 2, 1)
    assert parsed["mem_fraction_static"] == 0.85
    assert parsed["enable_metrics"] is True
    assert (parsed["pp_size"], parsed["enable_dp_lm_head"]) == (1, False)
    assert "pp_size" not in parsed.given


def test_the_published_sglang_recipe_names_what_became_of_its_flags() -> None:
    recipe = "--model-path /m --tp-size 32 --dp-size 32 --enable-dp-attention --enable-deepep-moe --moe-dense-tp-size 1"
    recipe += " --cuda-graph-bs 480 --deepep-mode low_latency --ep-num-redundant-experts 96"
    assert told("sglang", recipe) == [
        ("warning", "deprecated", "--enable-dp-attention", "--attn-dp-size <dp-size>"),
        ("error", "removed", "--enable-deepep-moe", "--moe-a2a-backend deepep"),
        ("error", "removed", "--cuda-graph-bs", "--cuda-graph-bs-{decode,prefill} <sizes>"),
    ]


def test_old_expert_and_graph_flags_are_refused_with_their_successors() -> None:
    found = problems("sglang", "--model-path /m --enable-ep-moe --cuda-graph-max-bs 8 --disable-cuda-graph")
    assert found["--enable-ep-moe"].successor == "--ep-size <n>"
    assert found["--cuda-graph-max-bs"].successor == "--cuda-graph-max-bs-{decode,prefill} <size>"
    assert (found["--disable-cuda-graph"].severity, found["--disable-cuda-graph"].kind) == ("warning", "deprecated")


def test_vllm_took_disable_log_requests_away_and_gave_it_back() -> None:
    old = told("vllm", "/m --disable-log-requests", "0.32.0")
    assert old == [("error", "removed", "--disable-log-requests", "--no-enable-log-requests")]
    assert told("vllm", "/m --disable-log-requests", "0.33.0") == []
    assert load("vllm", "0.33.0").parse(["/m", "--disable-log-requests"])["enable_log_requests"] is False


@pytest.mark.parametrize("version", ["0.32.0", "0.33.0"])
def test_a_parser_name_that_vllm_lets_pass_and_does_not_have_is_an_error(version: str) -> None:
    (problem,) = load("vllm", version).check(["/m", "--enable-auto-tool-choice", "--tool-call-parser", "kimi_k22"])
    assert (problem.severity, problem.kind, problem.successor) == ("error", "mistyped", "--tool-call-parser kimi_k2")
    assert load("vllm", version).check(["/m", "--enable-auto-tool-choice", "--tool-call-parser", "kimi_k2"]) == []


def test_a_plugin_may_bring_a_parser_of_its_own() -> None:
    line = "/m --tool-parser-plugin /p.py --tool-call-parser mine"
    assert told("vllm", line) == []


def test_sglang_chooses_among_its_parsers() -> None:
    found = problems("sglang", "--model-path /m --tool-call-parser kimi_k22")["--tool-call-parser"]
    assert found.kind == "mistyped"
    assert "(perhaps kimi_k2)" in found.text


def test_auto_tool_choice_needs_a_parser() -> None:
    found = problems("vllm", "/m --enable-auto-tool-choice")["--enable-auto-tool-choice"]
    assert (found.severity, found.kind) == ("error", "missing")
    assert "--tool-call-parser" in found.text


def test_an_unknown_flag_names_those_that_look_like_it() -> None:
    found = problems("sglang", "--model-path /m --mem-fraction-statik 0.9")["--mem-fraction-statik"]
    assert (found.kind, found.successor) == ("unknown", "--mem-fraction-static")


def test_a_short_form_works_and_is_warned_of() -> None:
    found = problems("sglang", "--model-path /m --tp 16")["--tp"]
    assert (found.severity, found.kind, found.successor) == ("warning", "abbreviated", "--tp-size")
    assert load("sglang").parse(["--model-path", "/m", "--tp", "16"])["tp_size"] == 16


def test_a_beginning_of_several_flags_is_ambiguous() -> None:
    assert problems("sglang", "--model-path /m --disable-cuda")["--disable-cuda"].kind == "ambiguous"


@pytest.mark.parametrize(
    ("line", "flag", "kind"),
    [
        ("--model-path /m --tp-size sixteen", "--tp-size", "mistyped"),
        ("--model-path /m --tp-size 1.5", "--tp-size", "mistyped"),
        ("--model-path /m --kv-cache-dtype fp9", "--kv-cache-dtype", "mistyped"),
        ("--model-path /m --json-model-override-args", "--json-model-override-args", "missing"),
        ("--model-path /m --tp-size --ep-size 2", "--tp-size", "missing"),
        ("--model-path /m --trust-remote-code=yes", "--trust-remote-code", "mistyped"),
        ("--model-path /m stray", "stray", "unknown"),
        ("--tp-size 2", "--model-path", "missing"),
        ("--model-path /m --help", "--help", "help"),
    ],
)
def test_what_sglang_refuses(line: str, flag: str, kind: str) -> None:
    found = problems("sglang", line)[flag]
    assert (found.severity, found.kind) == ("error", kind)
    with pytest.raises(FlagError):
        load("sglang").parse(shlex.split(line))


def test_a_flag_given_twice_is_warned_of_whatever_its_spelling() -> None:
    (problem,) = load("vllm").check(["/m", "-tp", "8", "--tensor-parallel-size", "16"])
    assert (problem.severity, problem.kind) == ("warning", "duplicated")
    assert load("vllm").parse(["/m", "-tp", "8", "--tensor-parallel-size", "16"])["tensor_parallel_size"] == 16


def test_repeated_router_workers_are_no_duplicates() -> None:
    line = "--pd-disaggregation --prefill http://a:1 9000 --prefill http://b:1 --decode http://c:1 --decode http://d:1"
    assert told("sglang-router", line) == []
    parsed = load("sglang-router").parse(shlex.split(line))
    assert parsed["prefill"] == [["http://a:1", "9000"], ["http://b:1"]]
    assert parsed["decode"] == [["http://c:1"], ["http://d:1"]]


def test_vllm_takes_underscores_keys_of_json_and_short_numbers() -> None:
    line = "/m --max_model_len=128K --hf_overrides.rope.factor 4 --hf-overrides.kinds+ a,b -O3 --no-enable-prefix-caching"
    assert told("vllm", line) == []
    parsed = load("vllm").parse(shlex.split(line))
    assert parsed["max_model_len"] == 131072
    assert parsed["hf_overrides"] == {"rope": {"factor": 4}, "kinds": ["a", "b"]}
    assert parsed["optimization_level"] in (3, "3")
    assert parsed["enable_prefix_caching"] is False


def test_a_key_that_a_json_flag_does_not_have() -> None:
    found = problems("vllm", """/m --eplb-config '{"window": 3}'""")["--eplb-config"]
    assert found.kind == "mistyped"
    assert "'window'" in found.text


def test_vllm_wants_the_model_before_the_flags_where_it_is_named() -> None:
    assert problems("vllm", "--served-model-name k /m")["model_tag"].kind == "missing"
    assert told("vllm", "/m --served-model-name k") == []


def test_model_as_a_flag_still_works_in_vllm_and_is_warned_of() -> None:
    parsed = load("vllm").parse(["--served-model-name", "k", "--model", "/m"])
    assert parsed["model_tag"] == "/m"


def test_ktransformers_flags_and_what_became_of_the_old_ones() -> None:
    kt = "--model-path /m --kt-weight-path /w --kt-method RAWINT4 --kt-cpuinfer 64 --kt-num-gpu-experts 8"
    assert told("sglang-kt", kt) == []
    old = problems("sglang-kt", "--model-path /m --kt-amx-method AMXINT4 --kt-amx-weight-path /w")
    assert old["--kt-amx-method"].successor == "--kt-method <method>"
    assert old["--kt-amx-weight-path"].successor == "--kt-weight-path <folder>"


def test_nothing_in_a_value_is_run_or_lost() -> None:
    nasty = "/m $(touch x) `id` ; \n'\" é"
    assert load("sglang").parse(["--model-path", nasty])["model_path"] == nasty
    assert load("vllm").parse([nasty])["model_tag"] == nasty


def test_problems_come_in_the_order_of_the_command_line() -> None:
    line = "--port x --model-path /m --tp 2 --enable-ep-moe --nnodes"
    assert [flag for _, _, flag, _ in told("sglang", line)] == ["--port", "--tp", "--enable-ep-moe", "--nnodes"]
