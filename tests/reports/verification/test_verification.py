"""The verification report: each of its figures is the document's, and it says what was verified and what was not."""

import json
import re
import tomllib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from verifications import NASTY, document, results, whole

from rmspec.impl import CLAUSES
from rmspec.oracles.faults import FAULTS
from rmspec.properties.verdict_table import CLAUSE_VERDICTS as VERDICTS
from rmspec.properties.verdict_table import first_verdict
from rmspec.reports.documents import stored_json
from rmspec.reports.readers.json_reader import deviation_of
from rmspec.reports.stored import program_file
from rmspec.reports.verification.document import verified
from rmspec.reports.verification.figures import nan_reach, step_map, trajectories
from rmspec.reports.verification.interpretations import behaviour
from rmspec.reports.verification.strength import BUG_CLASSES, strength

pytest.importorskip("matplotlib")
pytest.importorskip("latex2mathml")

from rmspec.impl import DIALECTS
from rmspec.reports.verification import markdown as markdown_report
from rmspec.reports.verification import page as html_page
from rmspec.reports.verification.pseudocode_lines import LINES, mathml
from rmspec.reports.verification.svg import DRAWINGS, draw

ROOT = Path(__file__).parents[3]


class Page(HTMLParser):
    """The tags of a page, its links and ids, and its ``data`` elements: value, place and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.figures: list[list[str]] = []
        self.ids: list[str] = []
        self._open = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        found = dict(attrs)
        if found.get("id"):
            self.ids.append(str(found["id"]))
        if tag == "data":
            self._open = True
            self.figures.append([str(found["value"]), str(found["data-at"]), ""])

    def handle_endtag(self, tag: str) -> None:
        self._open = self._open and tag != "data"

    def handle_data(self, data: str) -> None:
        if self._open:
            self.figures[-1][2] += data


@pytest.fixture(scope="module")
def text() -> str:
    return html_page.render(whole())


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


@pytest.fixture(scope="module")
def markdown() -> str:
    return markdown_report.render(whole())


def at(data: Any, pointer: str) -> Any:
    for part in pointer.split("/")[1:]:
        data = data[int(part)] if isinstance(data, list) else data[part]
    return data


class TestFigures:
    """What the page and the Markdown say is what the JSON holds."""

    def test_every_figure_of_the_page_is_the_documents(self, page: Page) -> None:
        """Each names its place there; the value is equal, and the text is that value to four digits at least."""
        stored = json.loads(json.dumps(whole()))
        assert len(page.figures) > 1000
        for value, place, shown in page.figures:
            wanted = at(stored, place)
            assert value == str(wanted), place
            assert float(shown.replace(",", "")) == pytest.approx(float(wanted), rel=5e-4), place

    def test_the_matrix_has_a_figure_for_every_clause_that_was_checked(self, page: Page) -> None:
        """No count of a clause is left out."""
        places = {place for _, place, _ in page.figures}
        for s, subject in enumerate(whole()["subjects"]):
            for c in range(len(subject["clauses"])):
                assert f"/subjects/{s}/clauses/{c}/checks" in places
                assert f"/subjects/{s}/clauses/{c}/inconclusive" in places

    def test_the_matrix_of_the_markdown_is_the_documents(self, markdown: str) -> None:
        """Verdict and checks of each clause by each subject."""
        rows = {cells[1].strip(): cells[4:-1] for cells in tables(markdown, "## Clauses by subjects")}
        assert set(rows) >= set(CLAUSES)
        for index, subject in enumerate(whole()["subjects"]):
            for clause in subject["clauses"]:
                assert (
                    rows[clause["id"]][index].split(" ", 2)[2].strip() == f"{clause['verdict']} ({clause['checks']:,})"
                )
            if not subject["clauses"]:
                assert {rows[id][index].split()[1] for id in CLAUSES} == {"not-checked"}

    def test_the_summary_counts_every_pair_once(self) -> None:
        """The counts are those of the cells, and they sum up; the sentence has each of them."""
        summary = whole()["verification"]["summary"]
        cells = [verdict for clause in whole()["verification"]["clauses"] for verdict in clause["verdicts"]]
        assert summary["counts"] == {name: cells.count(name) for name in summary["counts"]}
        assert sum(summary["counts"].values()) == summary["verdicts"] == len(CLAUSES) * 3
        for number in summary["counts"].values():
            assert f" {number:,} " in summary["sentence"]
        assert f"{sum(each['steps'] for each in whole()['subjects']):,} steps" in summary["sentence"]

    def test_a_subject_of_another_dialect_has_what_that_states(self) -> None:
        """In the sentence and beside its verdicts: never the page's statement, to which it does not conform."""
        spoken = document()
        spoken["subjects"][0]["dialect"] = "keras3"
        found = verified(spoken)["verification"]
        name = spoken["subjects"][0]["name"]
        assert f"as these dialects state it (keras3 for {name}" in found["summary"]["sentence"]
        clauses = {each["id"]: each for each in found["clauses"]}
        assert clauses["eps-placement"]["stated"][0] == "eps is added inside the square root"
        assert clauses["square-avg"]["stated"][0] == ""
        assert "here it states</dt><dd>eps is added inside the square root" in html_page.render(verified(spoken))

    def test_the_document_follows_the_schema_and_keeps_the_runs(self) -> None:
        """The verification is added, nothing else is changed."""
        jsonschema.Draft202012Validator(stored_json("schemas/report-1.json")).validate(whole())
        assert {key: value for key, value in whole().items() if key != "verification"} == document()

    def test_the_same_document_gives_the_same_bytes(self, text: str, markdown: str) -> None:
        """Plots included."""
        assert html_page.render(verified(document())) == text
        assert markdown_report.render(verified(document())) == markdown


def tables(markdown: str, heading: str) -> list[list[str]]:
    part = markdown.split(f"\n{heading}\n")[1].split("\n## ")[0]
    return [line.replace("\\|", "").split("|") for line in part.splitlines() if line.startswith("|")]


class TestPage:
    """One file that can be opened from disk."""

    def test_it_asks_no_other_host_and_is_small(self, text: str, page: Page) -> None:
        """Nothing is loaded but pictures that are in the page; it stays under 5 MB."""
        loaded = [v for _, name, v in page.attributes if name in ("src", "xlink:href", "data") and v]
        assert all(value.startswith(("#", "data:image/png;base64,")) for value in loaded)
        assert not {"link", "iframe", "object", "embed", "img"} & set(page.tags)
        assert "@import" not in text
        assert not re.findall(r"url\((?!#)", text)
        assert len(text.encode()) < 5_000_000
        assert all(str(v).startswith("#") for tag, name, v in page.attributes if (tag, name) == ("a", "href"))

    def test_what_comes_from_outside_is_text(self, text: str, page: Page, markdown: str) -> None:
        """A subject named as a script makes none, in the page, its attributes, its plots and the Markdown."""
        assert page.tags.count("script") == 1
        assert not [name for _, name, _ in page.attributes if name.startswith("on")]
        assert NASTY not in text
        assert text.count("&lt;script&gt;alert(1)&lt;/script&gt;") > 10
        outside = re.sub(r"```.*?```", "", markdown, flags=re.S)
        assert NASTY not in outside
        assert "\\<script\\>" in outside

    def test_every_link_leads_somewhere_and_ids_are_unique(self, page: Page) -> None:
        """Cells to their evidence, lines of the pseudocode to their clauses."""
        assert sorted(page.ids) == sorted(set(page.ids))
        targets = {str(v)[1:] for tag, name, v in page.attributes if (tag, name) == ("a", "href")}
        assert targets <= set(page.ids)
        assert {f"e-{s}-{id}" for s in range(3) for id in CLAUSES} <= targets
        assert {f"clause-{id}" for line in LINES for id in line.clauses} <= targets

    def test_a_deviation_has_two_ways_to_be_reproduced(self, text: str, markdown: str) -> None:
        """The command for the stored program, and the script."""
        deviation = next(each for each in whole()["subjects"][1]["deviations"] if each["known"] is None)
        assert deviation["script"] in markdown
        names = [each["name"] for each in whole()["subjects"]]
        file = program_file("repro", names, NASTY, deviation_of(deviation))
        assert f"rmspec repro {file}" in text
        assert f"rmspec repro {file}" in markdown
        assert "import" in deviation["script"]

    def test_the_first_screen_names_what_deviates(self, text: str) -> None:
        """Before the sentence and the counts, with a link to the evidence of each new deviation."""
        head = text[text.index("<body>") : text.index('id="sentence"')]
        new = verified(document(*results()))["verification"]["summary"]["new"]
        assert new
        for row in new:
            assert f'href="#e-{row["subject"]}-{row["clause"]}"' in head
        good = results()[0]
        assert "No new deviation." in html_page.render(verified(document(good)))

    def test_failures_stand_first_in_the_matrix(self, text: str) -> None:
        """The rows are in the order of precedence, and remember their place on the page."""
        rows = re.findall(r'<tr data-order="(\d+)" data-clause="[^"]+" data-kind="[^"]+" data-verdict="([^"]+)"', text)
        gravity = [VERDICTS.index(verdict) for _, verdict in rows]
        assert gravity == sorted(gravity)
        assert len(rows) == len(CLAUSES)
        assert sorted(int(order) for order, _ in rows) == list(range(len(CLAUSES)))

    def test_cards_say_that_they_count_clauses(self, text: str) -> None:
        """The checks of elements that were inconclusive stand beside them, with the reasons: no card contradicts the table."""
        total = sum(result.inconclusive_checks for result in results())
        cards = text[text.index('class="tiles"') : text.index('<table class="cards">')]
        assert f'data-at="/verification/summary/totals/inconclusive_checks">{total:,}<' in cards
        assert "the step starts from an infinity or a NaN (" in cards

    def test_an_interrupted_run_says_so_first(self) -> None:
        """On the first screen, in the sentence and in the Markdown."""
        cut = verified(document(results()[0], complete=False))
        assert "Incomplete" in html_page.render(cut).split("</header>")[0].split("</style>")[1]
        assert "**Incomplete" in markdown_report.render(cut)[:200]
        assert "interrupted" in cut["verification"]["summary"]["sentence"]

    def test_a_report_of_an_older_run_has_what_there_is(self) -> None:
        """Without the element, the use and the trajectory the page has fewer plots, and no gap."""
        old = document(results()[0])
        for subject in old["subjects"]:
            for key in ("envelope_use", "trajectory", "message", "hint", "search", "stale", "versions"):
                del subject[key]
            for clause in subject["clauses"]:
                del clause["worst"]
        found = verified(old)
        assert found["verification"]["figures"]["trajectories"] is None
        assert "plot-nan-reach" in html_page.render(found)
        assert "plot-trajectories" not in html_page.render(found)
        assert markdown_report.render(found)


class TestPlots:
    """The numbers behind the plots, and the plots."""

    def test_the_subject_that_parts_first_is_shown(self) -> None:
        """Beside the first subject; the step is the first one outside the band."""
        found = whole()["verification"]["figures"]["trajectories"]
        assert [each["name"] for each in found["subjects"]] == ["reference", NASTY]
        theta = found["subjects"][1]["theta"]
        outside = [i for i, (x, (lo, hi)) in enumerate(zip(theta, found["band"], strict=True)) if not lo <= x <= hi]
        assert found["parted"] == outside[0]
        alone = trajectories(document(results()[0], results()[0])["subjects"])
        assert alone is not None
        assert alone["parted"] is None

    def test_the_map_is_that_of_the_two_formulas(self) -> None:
        """sqrt(v) + eps against sqrt(v + eps), and nothing where a dialect is compared with itself."""
        found = step_map(DIALECTS["torch"], DIALECTS["tensorflow"])
        for i, eps in list(enumerate(found["eps"]))[::9]:
            for j, v in list(enumerate(found["v"]))[::9]:
                outside, inside = v**0.5 / (v**0.5 + eps), v**0.5 / (v + eps) ** 0.5
                wanted = abs(outside - inside) / max(outside, inside)
                assert found["difference"][i][j] == pytest.approx(wanted, rel=1e-3, abs=1e-12)
        same = step_map(DIALECTS["torch"], DIALECTS["torch"])
        assert {each for row in same["difference"] for each in row} == {0.0}

    def test_nan_is_reached_only_where_the_envelope_admits_it(self) -> None:
        """The reference is never ahead of the envelope; alpha = 0.5 gets there, as the facts have it."""
        found = nan_reach()
        for admitted, reached in zip(found["admitted"], found["reached"], strict=True):
            assert all(one >= other for one, other in zip(admitted, reached, strict=True))
            assert reached == sorted(reached)
        half = found["reached"][found["alphas"].index(0.5)]
        assert half[found["steps"].index(33)] > 0
        assert half[0] == 0

    @pytest.mark.parametrize("name", DRAWINGS)
    def test_a_plot_takes_its_colours_from_the_page(self, name: str) -> None:
        """Text is text, in the page's own colour; no other text colour, and no id of another plot."""
        svg = draw(name, whole()["verification"]["figures"][name])
        assert "currentColor" in svg
        assert "#0102" not in svg
        assert "<text" in svg
        assert "<script" not in svg
        assert all(each.startswith(f"{name}-") for each in re.findall(r'\bid="([^"]*)"', svg))

    def test_a_name_is_drawn_as_it_is(self) -> None:
        """Whatever it would mean to the plotting library."""
        data = json.loads(json.dumps(whole()["verification"]["figures"]["trajectories"]))
        data["subjects"][0]["name"], data["subjects"][1]["name"] = "_$x_1$", "名 \\frac"
        svg = draw("trajectories", data)
        assert "_$x_1$" in svg
        assert "名 \\frac" in svg


class TestPseudocode:
    """The page's lines and their clauses."""

    def test_every_clause_of_the_pseudocode_has_a_line(self) -> None:
        """And every clause of a line exists."""
        named = {id for line in LINES for id in line.clauses}
        assert named <= set(CLAUSES)
        assert {id for id, clause in CLAUSES.items() if clause.kind == "pseudocode"} <= named

    def test_a_line_is_coloured_by_the_gravest_verdict(self) -> None:
        """Of its clauses, over the subjects and for each; what was not checked does not outweigh what was."""
        assert first_verdict(["conforms", "known", "not-checked"]) == "known"
        assert first_verdict(["conforms", "not-checked"]) == "conforms"
        assert first_verdict([]) == "not-checked"
        by_clause = {each["id"]: each["verdicts"] for each in whole()["verification"]["clauses"]}
        for line in whole()["verification"]["pseudocode"]:
            for index in range(3):
                assert line["verdicts"][index] == first_verdict([by_clause[id][index] for id in line["clauses"]])
            assert line["verdict"] == first_verdict(line["verdicts"])
        assert any(line["verdict"] == "deviates" for line in whole()["verification"]["pseudocode"])

    def test_a_line_is_typeset(self) -> None:
        """As MathML, with the letters of its text."""
        for line in LINES:
            assert mathml(line).startswith("<math")
        assert "<msqrt>" in mathml(LINES[-2])


class TestTheRest:
    """Interpretations, blind spots, and the strength of the suite."""

    @pytest.mark.parametrize(
        "topic",
        [
            "resized",
            "taken away",
            "autocast",
            "closures",
            "subclasses",
            "threads",
            "grad_dtype",
        ],
    )
    def test_what_no_program_can_say_is_named(self, topic: str) -> None:
        """What the vocabulary of programs has no word for is a blind spot of its own, not silence."""
        spots = whole()["verification"]["blind_spots"]
        assert len(spots) == len(set(spots))
        assert any(topic in spot for spot in spots)

    def test_each_interpretation_has_the_behaviour_of_every_subject_and_oracle(self) -> None:
        """Those of this run, and the stored ones that are not in it."""
        found = whole()["verification"]["interpretations"]
        assert [each["id"] for each in found["clauses"]] == [
            id for id, clause in CLAUSES.items() if clause.kind == "interpretation"
        ]
        stored = {each["name"] for each in found["oracles"]}
        assert {"torch", "torch:foreach", "keras", "tensorflow:v1"} <= stored
        assert "reference" not in stored
        for each in found["clauses"]:
            assert [one["name"] for one in each["subjects"]] == [one["name"] for one in whole()["subjects"]]
            assert {one["name"] for one in each["oracles"]} == stored
            assert all(one["behaviour"] and one["verdict"] in VERDICTS for one in each["subjects"] + each["oracles"])
            assert "was not a clause then" not in [one["behaviour"] for one in each["oracles"]], (
                "python tests/bench/stored.py oracles stores them anew"
            )

    def test_a_behaviour_is_told_in_words(self) -> None:
        """A deviation by its reason, what was only observed as it was seen."""
        subject = whole()["subjects"][0]
        assert behaviour(subject, "elementwise") == {"verdict": "conforms", "behaviour": "as read"}
        seen = next(each for each in subject["clauses"] if each["verdict"] == "observed")
        assert behaviour(subject, seen["id"])["behaviour"] == seen["reason"]
        assert behaviour(whole()["subjects"][2], "update")["behaviour"] == f"gone:x needs {NASTY}"

    def test_the_strength_is_of_the_faults_that_are_shipped(self) -> None:
        """Each fault was measured, its class has a title, and the versions are told."""
        stored = json.loads((ROOT / "reports" / "data" / "strength.json").read_text("utf-8"))
        assert {row["id"]: row["class"] for row in stored["faults"]} == {f.id: f.bug_class for f in FAULTS}, (
            "python tests/bench/stored.py strength measures them anew"
        )
        assert {fault.bug_class for fault in FAULTS} <= set(BUG_CLASSES)
        found = strength()
        assert found["total"]["faults"] == sum(row["faults"] for row in found["classes"]) == len(FAULTS)
        assert found["total"]["caught"] == sum(row["caught"] for row in found["classes"])
        project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
        assert found["provenance"]["rmspec"] == project["version"]
        assert {"command", "date", "torch", "processor"} <= set(found["provenance"])

    def test_a_deviation_comes_back_from_the_document(self) -> None:
        """With its program, what was observed and what was allowed."""
        for subject, result in zip(document()["subjects"], results(), strict=True):
            for data, wanted in zip(subject["deviations"], result.deviations, strict=True):
                found = deviation_of(data)
                assert found.program == wanted.program
                assert (found.observed, found.allowed) == (wanted.observed, wanted.allowed)
