// The rows behind a figure: where each came from, why it is there, and the record as it was delivered.

import { $, el, empty, link, show, table } from "../dom.js";
import { choice, choose } from "../state.js";
import { count, say } from "../words.js";

const CLOSED = "";
let shown = CLOSED;

// Which rows: ["set-aside", run, source, reason], or ["breach", run, stage, view, title].
const NAMES = { "set-aside": ["run", "source", "reason"], breach: ["run", "stage", "view", "title"] };
const query = ([kind, ...values]) => new URLSearchParams(values.map((value, i) => [NAMES[kind][i], value]));

function chosenRows() {
  try {
    const chosen = JSON.parse(choice("rows", CLOSED));
    return Array.isArray(chosen) && chosen.length === (NAMES[chosen[0]]?.length ?? 0) + 1 ? chosen : null;
  } catch {
    return null;
  }
}

export function openRows(chosen) {
  choose({ rows: chosen && JSON.stringify(chosen) });
  drawRows();
  if (chosen) $("rows").scrollIntoView({ block: "start" });
}

const cells = (record) => el("dl", { class: "record" }, ...Object.entries(record).map(([name, cell]) => el("div", {}, el("dt", {}, name), el("dd", {}, cell ?? say("empty")))));

const place = (row) => el("span", {}, row.source_key ?? "–", row.source_row === null ? null : el("span", { class: "muted when" }, ` ${say("line or row {place}", { place: row.source_row })}`));

async function fetchRows(chosen, unmasked) {
  const path = `${unmasked ? "people" : "api"}/${chosen[0]}?${query(chosen)}`;
  const response = await fetch(path, { headers: { Accept: "application/json" } }).catch(() => null);
  const body = await response?.json().catch(() => null);
  if (response?.ok) return body;
  return { problem: response?.status === 403 ? say("Personal data are for those who may read the connection of the lake.") : body?.what ? [body.what, body.next].filter(Boolean).join(". ") : say("The server does not answer") };
}

async function drawRows(unmasked = false) {
  const chosen = chosenRows();
  const wanted = JSON.stringify([chosen, unmasked]);
  $("rows").hidden = !chosen;
  if (!chosen || shown === wanted) {
    if (!chosen) shown = CLOSED;
    return;
  }
  shown = wanted;
  const [kind, , source, reason] = chosen;
  const heading = el("h3", {}, kind === "breach" ? `${chosen[3]}: ${chosen[4]}` : `${source} · ${reason}`);
  const close = el("button", { class: "more", onclick: () => openRows(null) }, say("Close"));
  show("rows", heading, el("p", { class: "hint" }, say("Loading…")));
  const { rows = [], more, problem } = await fetchRows(chosen, unmasked);
  if (shown !== wanted) return;
  const path = `${unmasked ? "people" : "api"}/${kind}`;
  const actions = el("div", { class: "choices" },
    unmasked || problem ? null : el("button", { class: "more", onclick: () => drawRows(true) }, say("Show personal data")),
    kind === "set-aside" && !problem ? link(say("Download as CSV"), new URL(`${path}.csv?${query(chosen)}`, document.baseURI).href) : null, close);
  const told = more ? say("The first {count} rows; the file has more.", { count: count(rows.length) }) : say("{count} rows. What may name or describe a person is masked; x and 9 stand for letters and digits.", { count: count(rows.length) });
  show("rows", heading, problem ? null : el("p", { class: "hint" }, unmasked ? say("{count} rows, with personal data.", { count: count(rows.length) }) : told), actions,
    problem ? empty(say("There is no data to show"), problem)
      : el("div", { class: "scroll tall" }, table([say("Where"), say("Reason"), say("Key"), say("Record as delivered")], rows.map((row) => [place(row), row.reason, row.key, row.record ? cells(row.record) : el("span", { class: "muted" }, say("not kept"))]))));
}

export const rows = { draw: () => drawRows(JSON.parse(shown || "[null,false]")[1]) };
