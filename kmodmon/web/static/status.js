// The script of the status page: sorting, a filter, times in the reader's time zone, and updates without a reload.
// The server renders everything: the script fetches the same page again and replaces the pieces that changed. It never
// makes HTML from text: the browser parses the page as a document without scripts, and text goes in by textContent.

const POLL = 2500; // milliseconds between requests for new events, while the page is visible
const REFRESH = 5; // polls after which the page is compared even if nothing happened
const SLOWEST = 30000; // milliseconds; the longest pause while the server does not answer
const TIMEOUT = 10000; // milliseconds that a request may take

const first = (selector, within = document) => within.querySelector(selector);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];

// ---- times in the reader's zone ----

const pad = (number) => String(number).padStart(2, "0");

function localTime(date) {
  const day = `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`;
  return `${day} ${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`;
}

function localise(within) {
  for (const time of all("time", within)) {
    const date = new Date(time.dateTime);
    if (Number.isNaN(date.getTime())) continue;
    time.title = `${time.dateTime.replace("T", " ").replace("Z", "")} UTC`;
    time.textContent = localTime(date);
  }
}

function span(seconds) {
  const minutes = Math.max(0, Math.floor(seconds / 60));
  const days = Math.floor(minutes / 1440);
  const hours = Math.floor((minutes % 1440) / 60);
  if (days) return `${days} d ${hours} h`;
  return hours ? `${hours} h ${minutes % 60} min` : `${minutes} min`;
}

// By the host's clock, not by the reader's.
function showUptime(now) {
  for (const up of all("[data-since]")) up.textContent = span(now.getTime() / 1000 - Number(up.dataset.since));
}

// ---- the table of modules ----

const table = first("#module-table");
const body = first("tbody", table);
const filter = first("#filter");
const suspicious = first("#suspicious");
let order = null; // {column, numeric, direction}; null: as the kernel lists them

function keyOf(row, column, numeric) {
  const cell = row.cells[column];
  if (!cell) return numeric ? -1 : "";
  if (!numeric) return cell.textContent.toLowerCase();
  const text = cell.dataset.key ?? cell.textContent;
  return text === "" ? -1 : Number(text);
}

function compare(a, b) {
  return typeof a === "number" ? a - b : a.localeCompare(b);
}

function sortRows() {
  if (order === null) return;
  const keyed = all("tr", body).map((row) => ({ row, key: keyOf(row, order.column, order.numeric) }));
  keyed.sort((a, b) => compare(a.key, b.key) * order.direction);
  body.append(...keyed.map((entry) => entry.row));
}

function sortBy(heading, column) {
  const descending = heading.getAttribute("aria-sort") === "ascending";
  for (const other of all("thead th", table)) other.setAttribute("aria-sort", "none");
  heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
  order = { column, numeric: heading.dataset.sort === "number", direction: descending ? -1 : 1 };
  sortRows();
}

function makeSortable() {
  all("thead th", table).forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = heading.textContent;
    heading.setAttribute("aria-sort", "none");
    heading.replaceChildren(button);
    button.addEventListener("click", () => sortBy(heading, column));
  });
}

function filterRows() {
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  const rows = all("tr", body).filter((row) => row.dataset.name !== undefined);
  let shown = 0;
  for (const row of rows) {
    const text = row.textContent.toLowerCase();
    row.hidden = (suspicious.checked && !row.classList.contains("sus")) || !words.every((word) => text.includes(word));
    shown += row.hidden ? 0 : 1;
  }
  const narrowed = words.length > 0 || suspicious.checked;
  first("#matches").textContent = narrowed ? `${shown} of ${rows.length} shown` : "";
}

// ---- live pieces ----

const served = new Map(); // name of a piece: its HTML as the server sent it
const live = first("#live");
const news = document.createElement("p");
let lastId = 0;
let tag = "";
let polls = 0;
let pause = POLL;
let timer = 0;
let asking = false;

function pieces(within) {
  return new Map(all("[data-live]", within).map((piece) => [piece.dataset.live, piece]));
}

function newestId(within) {
  const newest = first("#timeline .events > li", within);
  return newest ? Number(newest.id.slice(1)) : 0;
}

function isSelectedIn(piece) {
  const selection = getSelection();
  return selection !== null && !selection.isCollapsed && selection.containsNode(piece, true);
}

function marksOf(piece) {
  // Open details and the keyboard focus survive the replacement.
  const active = piece.contains(document.activeElement) ? document.activeElement : null;
  return {
    open: all("details[open]", piece).map((details) => details.id),
    details: active?.closest("details")?.id,
    href: active?.getAttribute("href"),
    present: new Set(all("[id], [data-name]", piece).map((node) => node.id || node.dataset.name)),
  };
}

function restore(piece, marks) {
  for (const details of all("details[id]", piece)) details.open = marks.open.includes(details.id);
  for (const node of all("tr[data-name], .events > li", piece)) {
    if (!marks.present.has(node.id || node.dataset.name)) node.classList.add("fresh");
  }
  const links = marks.href ? all("a[href]", piece) : [];
  const again =
    links.find((link) => link.getAttribute("href") === marks.href) ??
    all("details[id]", piece).find((details) => details.id === marks.details)?.firstElementChild;
  again?.focus({ preventScroll: true });
}

function replace(name, piece, fresh) {
  const marks = marksOf(piece);
  served.set(name, fresh.innerHTML);
  piece.replaceChildren(...fresh.childNodes);
  localise(piece);
  restore(piece, marks);
  if (name === "rows") {
    sortRows();
    filterRows();
  }
}

function take(page) {
  const fresh = pieces(page);
  let whole = true;
  for (const [name, piece] of pieces(document)) {
    const next = fresh.get(name);
    if (!next || served.get(name) === next.innerHTML) continue;
    if (isSelectedIn(piece)) whole = false; // replaced later: the reader may be copying it
    else replace(name, piece, next);
  }
  document.title = page.title;
  const icon = first("link[rel=icon]", page);
  if (icon) first("link[rel=icon]")?.setAttribute("href", icon.getAttribute("href"));
  return whole;
}

async function get(address, headers = {}) {
  const signal = AbortSignal.timeout(TIMEOUT);
  return fetch(address, { headers, cache: "no-store", credentials: "same-origin", signal });
}

async function refresh() {
  const answer = await get("./", tag ? { "If-None-Match": tag } : {});
  if (!answer.ok && answer.status !== 304) throw new Error(`the page answered ${answer.status}`);
  const asOf = new Date(answer.headers.get("date") ?? Date.now());
  if (answer.status === 200) {
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    tag = take(page) ? (answer.headers.get("etag") ?? "") : "";
  }
  const time = first("#asof time");
  if (time) time.textContent = localTime(asOf);
  showUptime(asOf);
}

function announce(before) {
  const fresh = all("#timeline .events > li").filter((item) => Number(item.id.slice(1)) > before);
  if (fresh.length === 0) return;
  const sentence = first(".say", fresh[0]).textContent;
  news.textContent = fresh.length === 1 ? sentence : `${fresh.length} new events, the newest: ${sentence}`;
}

async function hasNews() {
  const answer = await get(`api/v1/events?after=${lastId}&limit=1`);
  return answer.ok && (await answer.json()).length > 0; // not ok: the history cannot be read, and the page says why
}

async function ask() {
  const before = lastId;
  const some = await hasNews();
  polls += 1;
  if (!some && polls % REFRESH !== 0) return;
  await refresh();
  lastId = newestId(document);
  announce(before);
}

function showStatus(word, tone) {
  live.hidden = false;
  live.className = tone;
  if (live.textContent !== word) live.textContent = word;
}

async function poll() {
  clearTimeout(timer);
  if (document.hidden || asking) return;
  asking = true;
  try {
    await ask();
    pause = POLL;
    showStatus("Live", "good");
  } catch {
    pause = Math.min(pause * 2, SLOWEST);
    showStatus("No answer from kmodmon", "bad");
  }
  asking = false;
  clearTimeout(timer);
  if (!document.hidden) timer = setTimeout(poll, pause);
}

function start() {
  for (const [name, piece] of pieces(document)) served.set(name, piece.innerHTML);
  lastId = newestId(document);
  news.className = "announcement";
  news.setAttribute("role", "status");
  document.body.append(news);
  localise(document);
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  first("#zone").textContent = `times are those of ${zone}`;
  makeSortable();
  first("#tools").hidden = false;
  filter.addEventListener("input", filterRows);
  suspicious.addEventListener("change", filterRows);
  if (filter.value || suspicious.checked) filterRows();
  document.addEventListener("visibilitychange", poll);
  addEventListener("beforeprint", () => all("details").forEach((details) => (details.open = true)));
  poll();
}

start();
