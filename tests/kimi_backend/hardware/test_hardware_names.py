"""Clusters as people write them."""

from __future__ import annotations

import pytest
from kimi_backend.hardware import HardwareError, Host, find_gpu, gpu_of_device, parse_cluster


@pytest.mark.parametrize(
    ("text", "kind", "nodes", "per_node"),
    [
        ("16xH200", "H200", 2, 8),
        ("8xH100", "H100", 1, 8),
        ("2x8xH200", "H200", 2, 8),
        ("4x4xB200", "B200", 4, 4),
        ("1xRTX4090", "RTX4090", 1, 1),
        ("12xH100", "H100", 2, 6),
        (" 16xh20 ", "H20-96", 2, 8),
        ("16xh20-3e", "H20-141", 2, 8),
        ("8xMI300X", "MI300X", 1, 8),
    ],
)
def test_a_cluster_is_read(text: str, kind: str, nodes: int, per_node: int) -> None:
    cluster = parse_cluster(text)
    assert (cluster.gpu.name, cluster.nodes, cluster.gpus_per_node, cluster.gpus) == (kind, nodes, per_node, nodes * per_node)


@pytest.mark.parametrize(
    ("kind", "gigabytes"),
    [("H100", 85.5), ("H800", 85.5), ("H20-96", 102.6), ("H200", 150.8), ("H20-141", 150.8), ("B200", 192.3)],
)
def test_memory_is_nvidia_smis_and_not_the_boxs(kind: str, gigabytes: float) -> None:
    assert find_gpu(kind).memory / 1e9 == pytest.approx(gigabytes, abs=0.05)


@pytest.mark.parametrize(("kind", "terabytes"), [("H100", 3.35), ("H200", 4.8), ("B200", 8.0), ("H20", 4.0)])
def test_bandwidth_is_the_data_sheets(kind: str, terabytes: float) -> None:
    assert find_gpu(kind).bandwidth == pytest.approx(terabytes * 1e12)


def test_a_card_of_ones_own() -> None:
    gpu = parse_cluster("16xMINE:143771:4.8").gpu
    assert (gpu.name, gpu.memory, gpu.bandwidth) == ("MINE", 143_771 * 2**20, 4.8e12)


def test_the_number_of_nodes_can_be_said() -> None:
    host = Host(ram=10**12, cores=64)
    cluster = parse_cluster("16xH200", nodes=4, host=host)
    assert (cluster.nodes, cluster.gpus_per_node, cluster.host) == (4, 4, host)
    assert str(cluster) == "16xH200 on 4 nodes"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("16xH300", r"'H300' is not known.*H200.*NAME:MEMORY_MIB:TB_PER_S"),
        ("H200", "does not say how many"),
        ("0xH200", "does not say how many"),
        ("0x8xH200", "does not say how many"),
        ("16 H200", "does not say how many"),
        ("-8xH200", "does not say how many"),
        ("", "does not say how many"),
        ("١٦xH200", "does not say how many"),
        ("16xH200; rm -rf /", "does not say how many"),
        ("16xMINE:0:4.8", "NAME:MEMORY_MIB:TB_PER_S"),
        ("16xMINE:143771", "NAME:MEMORY_MIB:TB_PER_S"),
        ("16xMINE:143771:0", "NAME:MEMORY_MIB:TB_PER_S"),
        ("13xH200", r"13 GPUs do not divide over 2 nodes"),
    ],
)
def test_what_is_no_cluster_is_refused(text: str, told: str) -> None:
    with pytest.raises(HardwareError, match=told):
        parse_cluster(text)


@pytest.mark.parametrize(("nodes", "told"), [(3, "do not divide over 3"), (0, "do not divide"), (-2, "do not divide")])
def test_nodes_that_the_gpus_do_not_fill_are_refused(nodes: int, told: str) -> None:
    with pytest.raises(HardwareError, match=told):
        parse_cluster("16xH200", nodes=nodes)


def test_two_numbers_of_nodes_are_refused() -> None:
    with pytest.raises(HardwareError, match="says 2 nodes, and 4 were asked for"):
        parse_cluster("2x8xH200", nodes=4)


@pytest.mark.parametrize(
    ("product", "mib", "kind"),
    [
        ("NVIDIA H100 80GB HBM3", 81_559, "H100"),
        ("NVIDIA H20", 97_871, "H20-96"),
        ("NVIDIA H20-3e", 143_771, "H20-141"),
        ("NVIDIA H200", 143_771, "H200"),
        ("NVIDIA GeForce RTX 4090", 24_564, "RTX4090"),
        ("NVIDIA GeForce RTX 4090", 49_140, "RTX4090-48"),
    ],
)
def test_a_drivers_name_and_memory_tell_the_kind(product: str, mib: int, kind: str) -> None:
    gpu = gpu_of_device(product, mib)
    assert (gpu.name, gpu.memory) == (kind, mib * 2**20)


def test_the_memory_that_was_read_is_believed() -> None:
    assert gpu_of_device("NVIDIA H200", 143_000).memory_mib == 143_000


def test_a_driver_name_that_only_begins_alike_is_not_taken() -> None:
    with pytest.raises(HardwareError, match=r"'NVIDIA H2000'.*MINE:90000"):
        gpu_of_device("NVIDIA H2000", 90_000)
