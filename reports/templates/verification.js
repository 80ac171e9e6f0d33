"use strict";
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const byId = (id) => document.getElementById(id);
document.documentElement.classList.remove("noscript");

// --- the matrix: filter and sort
const body = byId("matrix").tBodies[0];
const rows = [...body.rows];
const gravity = byId("matrix").dataset.precedence.split(" ");
const verdicts = (row) => row.dataset.verdicts.split(" ");
const column = () => byId("by-subject").value;
const chosen = (row) => (column() === "" ? row.dataset.verdict : verdicts(row)[Number(column())]);

function filter() {
  const text = byId("by-text").value.trim().toLowerCase();
  const verdict = byId("by-verdict").value;
  const kind = byId("by-kind").value;
  let shown = 0;
  for (const row of rows) {
    const among = column() === "" ? verdicts(row) : [chosen(row)];
    const judged = verdict.startsWith("!") ? among.some((word) => word !== verdict.slice(1)) : !verdict || among.includes(verdict);
    const fits = row.dataset.text.includes(text) && judged && (!kind || row.dataset.kind === kind);
    row.hidden = !fits;
    shown += fits ? 1 : 0;
  }
  byId("shown").textContent = `${shown} of ${rows.length} clauses are shown`;
}

const keys = {
  page: (row) => Number(row.dataset.order),
  clause: (row) => row.dataset.clause,
  verdict: (row) => gravity.indexOf(chosen(row)),
  checks: (row) => -Number(row.dataset.checks),
  fraction: (row) => -Number(row.dataset.fraction),
};

function sort(key, down = false) {
  const value = (row) => (key.startsWith("subject-") ? gravity.indexOf(verdicts(row)[Number(key.slice(8))]) : keys[key](row));
  const before = (one, other) => (value(one) < value(other) ? -1 : value(one) > value(other) ? 1 : keys.page(one) - keys.page(other));
  const sorted = [...rows].sort((one, other) => (down ? before(other, one) : before(one, other)));
  body.append(...sorted);
  for (const head of all("#matrix thead th")) {
    const same = head.dataset.key === key;
    head.setAttribute("aria-sort", same ? (down ? "descending" : "ascending") : "none");
  }
}

byId("by-text").addEventListener("input", filter);
for (const id of ["by-verdict", "by-kind", "by-subject"]) byId(id).addEventListener("change", filter);
for (const id of ["by-order", "by-subject"]) byId(id).addEventListener("change", () => sort(byId("by-order").value));
byId("filters").addEventListener("submit", (event) => event.preventDefault());
for (const head of all("#matrix thead th")) {
  head.querySelector("button").addEventListener("click", () => sort(head.dataset.key, head.getAttribute("aria-sort") === "ascending"));
}
byId("show-all").addEventListener("click", () => {
  byId("filters").reset();
  filter();
  sort("verdict");
});

// --- a cell opens its evidence
const panel = byId("panel");
document.addEventListener("click", (event) => {
  const cell = event.target.closest("a.cell");
  if (!cell || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const evidence = byId(cell.hash.slice(1));
  if (!evidence) return;
  event.preventDefault();
  const copy = evidence.cloneNode(true);
  for (const each of [copy, ...all("[id]", copy)]) each.removeAttribute("id");
  byId("panel-body").replaceChildren(copy);
  panel.showModal();
  panel.scrollTop = 0;
});
byId("close").addEventListener("click", () => panel.close());
panel.addEventListener("click", (event) => {
  if (event.target === panel) panel.close();
});

// --- copying
async function written(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // A page from disk may not be let at the clipboard; what is selected can be copied all the same.
    const area = document.createElement("textarea");
    area.value = text;
    (panel.open ? panel : document.body).append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}
document.addEventListener("click", async (event) => {
  const button = event.target.closest("button.copy");
  if (!button) return;
  const done = await written(button.closest(".copyable").querySelector("pre").textContent);
  button.textContent = done ? "Copied" : "Select it and press Ctrl+C";
  setTimeout(() => (button.textContent = "Copy"), 2000);
});

// --- the pseudocode in the colours of one subject
byId("coloured-by").addEventListener("change", (event) => {
  for (const line of all(".pseudocode li")) {
    const index = event.target.value;
    line.className = index === "" ? line.dataset.verdict : line.dataset.verdicts.split(" ")[Number(index)];
  }
});

// --- a link to a clause that is filtered away, or to evidence that is folded, shows it
function reveal() {
  const target = location.hash.length > 1 && byId(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  const row = target.closest("#matrix tbody tr");
  if (row && row.hidden) {
    byId("filters").reset();
    filter();
  }
  for (let each = target.closest("details"); each; each = each.parentElement.closest("details")) each.open = true;
  target.scrollIntoView();
}
addEventListener("hashchange", reveal);

// --- on paper what deviates is unfolded
let folded = [];
addEventListener("beforeprint", () => {
  folded = all("details.grave:not([open])");
  for (const each of folded) each.open = true;
});
addEventListener("afterprint", () => {
  for (const each of folded) each.open = false;
});

// A small screen begins with what is not in order, if anything is not.
const unsettled = rows.some((row) => ["deviates", "known", "inherited", "hidden", "inconclusive"].includes(row.dataset.verdict));
if (unsettled && matchMedia("(max-width: 45rem)").matches) byId("by-verdict").value = "!conforms";
filter();
reveal();
