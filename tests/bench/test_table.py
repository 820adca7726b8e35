import pytest

from neus.bench.page import MARKER, bench_page
from neus.bench.published import published_values
from neus.bench.table import markdown_table, rows_from_records

MACHINE = {"cpu": "A Processor", "threads": 2, "cores": 4, "memory_gib": 8.0, "gpu": None, "gpu_memory_gib": None}
VERSIONS = {"neus": "9.9", "commit": "abc", "python": "3.12", "torch": "2", "numpy": "2", "system": "Linux x86_64"}


def record(scene="dtu_scan65", seed=0, status="done", reason="", conf="quick.conf", **scores):
    facts = {"scene": scene, "conf": conf, "length": "5 min", "seed": seed, "status": status, "reason": reason}
    parts = {
        "train": {"seconds": 300.0 + seed, "scores": {"iterations": 1000}, "resumed": 0},
        "evaluate": {"seconds": 20.0, "scores": scores},
    }
    return facts | {"machine": MACHINE, "versions": VERSIONS, "parts": parts if status == "done" else {}}


def page_of(*records):
    return bench_page(rows_from_records(records), records, "neus bench x", "2020-02-02")


def test_seeds_become_a_median_with_its_range():
    (row,) = rows_from_records([record(seed=s, psnr_masked=p) for s, p in enumerate([25.0, 27.0, 26.0])])
    score = row.scores["psnr_masked"]
    assert (score.median, score.low, score.high, score.n) == (26.0, 25.0, 27.0, 3)
    assert row.seeds == (0, 1, 2) and row.seconds["all"].median == 321.0
    assert "26.00 (25.00 to 27.00)" in page_of(*[record(seed=s, psnr_masked=p) for s, p in enumerate([25, 27, 26])])


def test_failed_seeds_do_not_enter_the_numbers_and_are_named():
    records = [record(psnr=20.0), record(seed=1, status="failed", reason="train: out | of memory")]
    (row,) = rows_from_records(records)
    assert row.seeds == (0,) and row.scores["psnr"].n == 1
    assert "* dtu_scan65, quick.conf, 5 min, seed 1: failed: train: out | of memory" in page_of(*records)


def test_scenes_and_confs_stand_in_rows_of_their_own():
    rows = rows_from_records([record("a"), record("b"), record("a", conf="other.conf"), record("a", seed=1)])
    assert [(r.scene, r.conf, r.seeds) for r in rows] == [
        ("a", "quick.conf", (0, 1)),
        ("b", "quick.conf", (0,)),
        ("a", "other.conf", (0,)),
    ]


def test_the_page_says_on_what_and_by_what():
    page = page_of(record(psnr_masked=25.0, mask_error=0.004))
    assert page.startswith(MARKER) and "neus bench x" in page and "2020-02-02" in page
    assert "A Processor, 2 threads of 4 cores, 8.0 GiB, no GPU used; neus 9.9 (commit abc)" in page
    assert "| 25.00 | 0.40 |" in page and "| 300.0 | 20.0 | 320.0 |" in page
    assert "Chamfer to the exact surface" not in page


def test_unlike_machines_are_pointed_out():
    other = record(seed=1) | {"machine": MACHINE | {"gpu": "A GPU", "gpu_memory_gib": 24.0}}
    assert "compare with care" in page_of(record(), other) and "A GPU 24.0 GiB" in page_of(record(), other)
    assert "compare with care" not in page_of(record(), record(seed=1))


def test_published_values_stand_beside_dtu_scans_only():
    page = page_of(record("dtu_scan24"), record("dtu_scan65"))
    (line,) = [text for text in page.splitlines() if text.startswith("| 2DGS, paper")]
    assert "| 0.48 | 0.83 | 0.80 |" in line and "[S]" in line
    assert "None of ours is listed beside them" in page
    assert "Published values" not in page_of(record("lego"), record("synthetic"))


def test_ours_stand_first_when_measured_by_the_same_protocol():
    page = page_of(record("dtu_scan24", dtu_chamfer=1.234, dtu_clean_up="25 px"), record("dtu_scan65", dtu_chamfer=2.0))
    table = page[page.index("## Published") :]
    assert "None of ours" not in table and "clean-up: 25 px | measured here" in table
    assert "| ours, quick.conf, 5 min | 1.23 | 2.00 |" in [x for x in table.splitlines() if x.startswith("|")][2]


def test_a_page_without_any_run_done_can_be_written():
    page = page_of(record(status="waiting"))
    assert "not run yet" in page and "none done" in page and page.count("No run is done.") == 2


def test_every_published_value_has_a_source_and_a_certainty():
    values = published_values()
    for method in values["methods"]:
        assert method["source"] and method["certainty"] in values["certainty"], method["method"]
        assert method["mean"] is not None or method["scans"], method["method"]
        for value in [method["mean"], *method["scans"].values()]:
            assert value is None or 0.2 < value < 2.5
        assert {int(scan) for scan in method["scans"]} <= set(values["mean_over"])
    assert len(values["mean_over"]) == 15


@pytest.mark.parametrize("text", ["a|b", "two\nlines"])
def test_cells_cannot_break_the_table(text):
    lines = markdown_table(["x", "y"], [[text, "1"]]).splitlines()
    assert len(lines) == 3 and lines[2].replace("\\|", "").count("|") == 3
