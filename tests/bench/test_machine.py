import json

import torch

from neus.bench import machine
from neus.bench.machine import machine_facts, version_facts


def test_the_machine_is_described_in_plain_values():
    facts = machine_facts(torch.device("cpu"))
    assert facts["cpu"] and facts["cores"] >= 1 and facts["threads"] == torch.get_num_threads()
    assert facts["memory_gib"] > 0.1 and facts["gpu"] is None
    assert json.loads(json.dumps(facts)) == facts


def test_versions_name_the_packages_and_the_commit_if_there_is_one(monkeypatch, tmp_path):
    facts = version_facts()
    assert facts["torch"] == torch.__version__ and json.loads(json.dumps(facts)) == facts
    monkeypatch.setattr(machine, "CHECKOUT", tmp_path)
    assert version_facts()["commit"] is None
