"""How many threads a process begins with: what it is told, what it may use, and who else is there."""

import os

import pytest

from tinyvision import cores

QUOTAS = {
    "none": ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, None),
    "a container": ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "150000 100000\n"}, 2),
    "less than a core": ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "5000 100000\n"}, 1),
    "a group above": (
        {
            "proc/self/cgroup": "0::/slurm/job7/step0\n",
            "sys/fs/cgroup/slurm/job7/step0/cpu.max": "max 100000\n",
            "sys/fs/cgroup/slurm/job7/cpu.max": "300000 100000\n",
            "sys/fs/cgroup/slurm/cpu.max": "800000 100000\n",
        },
        3,
    ),
    "the first version": (
        {
            "proc/self/cgroup": "7:memory:/x\n4:cpu,cpuacct:/docker/a\n",
            "sys/fs/cgroup/cpu/docker/a/cpu.cfs_quota_us": "200000\n",
            "sys/fs/cgroup/cpu/docker/a/cpu.cfs_period_us": "100000\n",
        },
        2,
    ),
    "the first version, no limit": (
        {
            "proc/self/cgroup": "4:cpu:/\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        },
        None,
    ),
    "not on Linux": ({}, None),
    "nonsense": ({"proc/self/cgroup": "0\n:\n\n", "sys/fs/cgroup/cpu.max": "0 0\n"}, None),
}


@pytest.mark.parametrize("case", QUOTAS)
def test_a_control_group_may_allow_less_than_the_machine_has(case, tmp_path, monkeypatch):
    files, limit = QUOTAS[case]
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(cores, "affinity", lambda: list(range(8)))
    assert cores.available_cores(tmp_path) == (limit or 8)


def test_the_system_may_allow_less_than_a_control_group(tmp_path, monkeypatch):
    monkeypatch.setattr(cores, "affinity", lambda: [3])
    assert cores.available_cores(tmp_path) == 1


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({}, None),
        ({"OMP_NUM_THREADS": "3"}, 3),
        ({"OMP_NUM_THREADS": "4,2"}, 4),
        ({"OMP_NUM_THREADS": "0"}, None),
        ({"OMP_NUM_THREADS": "many"}, None),
        ({"OMP_NUM_THREADS": "3", "TINYVISION_NUM_THREADS": "2"}, 2),
        ({"OMP_NUM_THREADS": "3", "TINYVISION_NUM_THREADS": ""}, 3),
    ],
)
def test_who_says_how_many(environment, told):
    assert cores.threads_told(environment) == told


def test_one_of_several_processes_begins_with_one_thread(monkeypatch):
    for name in ("TINYVISION_NUM_THREADS", "OMP_NUM_THREADS", "PMI_RANK", "PMI_SIZE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(cores, "affinity", lambda: [0, 1, 2, 3])
    monkeypatch.setattr(cores, "_quotas", lambda root: iter(()))
    assert cores.threads_at_first() == 4
    monkeypatch.setenv("PMI_RANK", "1")
    monkeypatch.setenv("PMI_SIZE", "2")
    assert cores.threads_at_first() == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert cores.threads_at_first() == 3


def test_this_machine_has_a_core():
    assert 1 <= cores.available_cores() <= (os.cpu_count() or 1)
