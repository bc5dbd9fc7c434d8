// The page: nights that are drawn when opened, links that lead into them, tables that sort and filter.

const STRIPS = new Map();

function stripOf(details) {
  if (!STRIPS.has(details.id)) {
    const night = PAGE.nights[Number(details.id.replace("night-", ""))];
    STRIPS.set(details.id, new Strip(details, night));
  }
  return STRIPS.get(details.id);
}

function openNight(details, epoch) {
  details.open = true;
  const strip = stripOf(details);
  if (epoch !== undefined) strip.jump(Number(epoch));
  details.scrollIntoView({ block: "start" });
}

for (const details of document.querySelectorAll("details.night")) {
  details.addEventListener("toggle", () => {
    if (details.open) stripOf(details).draw();
  });
}

document.addEventListener("click", (event) => {
  const link = event.target.closest('a[href^="#night-"]');
  if (!link) return;
  event.preventDefault();
  openNight(document.getElementById(link.hash.slice(1)), link.dataset.epoch);
});

// What a cell is sorted by: its number, or its text in lower case; cells without a value come last.
function sortKey(row, column) {
  const cell = row.cells[column];
  return "sort" in cell.dataset ? Number(cell.dataset.sort) : cell.textContent.toLowerCase();
}

function compare(a, b, direction) {
  const empty = Number.isNaN(a) - Number.isNaN(b);
  if (empty || Number.isNaN(a)) return empty;
  if (typeof a === "number" && typeof b === "number") return (a - b) * direction;
  return String(a).localeCompare(String(b), undefined, { numeric: true }) * direction;
}

function sortBy(table, column) {
  const heads = [...table.tHead.rows[0].cells];
  const direction = heads[column].getAttribute("aria-sort") === "ascending" ? -1 : 1;
  for (const head of heads) head.removeAttribute("aria-sort");
  heads[column].setAttribute("aria-sort", direction === 1 ? "ascending" : "descending");
  const keyed = [...table.tBodies[0].rows].map((row) => ({ row, key: sortKey(row, column) }));
  keyed.sort((a, b) => compare(a.key, b.key, direction));
  table.tBodies[0].append(...keyed.map(({ row }) => row));
}

const ORDER = {
  "<": (a, b) => a < b, ">": (a, b) => a > b, "<=": (a, b) => a <= b, ">=": (a, b) => a >= b, "=": (a, b) => a === b,
};

// A condition on rows: `column < number` where there is such a column, or else a text in any cell.
function condition(table, words) {
  const parts = words.match(/^(.+?)\s*(<=|>=|<|>|=)\s*([-+]?[\d.]+)$/);
  const names = [...table.tHead.rows[0].cells].map((cell) => cell.textContent.toLowerCase());
  const column = parts ? names.findIndex((name) => name.startsWith(parts[1].trim())) : -1;
  if (column < 0) return (row) => [...row.cells].some((cell) => cell.textContent.toLowerCase().includes(words));
  return (row) => ORDER[parts[2]](sortKey(row, column), Number(parts[3]));
}

function filterRows(table, words, count) {
  const asked = words.toLowerCase().split(",").map((part) => part.trim()).filter(Boolean);
  const conditions = asked.map((part) => condition(table, part));
  const rows = [...table.tBodies[0].rows];
  for (const row of rows) row.hidden = !conditions.every((holds) => holds(row));
  const shown = rows.filter((row) => !row.hidden).length;
  count.textContent = conditions.length ? `${shown} of ${rows.length}` : "";
}

for (const block of document.querySelectorAll("div.table")) {
  const table = block.querySelector("table");
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    head.firstElementChild.addEventListener("click", () => sortBy(table, column));
  });
  const search = block.querySelector("input[type=search]");
  search?.addEventListener("input", () => filterRows(table, search.value, block.querySelector("output")));
}

if (location.hash.startsWith("#night-")) {
  const details = document.getElementById(location.hash.slice(1));
  if (details) openNight(details);
}
