// What was set aside: how much over time, by source and reason, and the way to the rows.

import { bar, chart } from "../charts.js";
import { el, empty, show, table } from "../dom.js";
import { inRange } from "../runs.js";
import { count, say } from "../words.js";
import { openRows } from "./rows.js";

const SHOWN = 200;

// Each reason of each source in the shown runs: its rows in the newest of them, and in the first.
function byReason(runs) {
  const found = new Map();
  for (const run of runs) {
    for (const [source, reasons] of Object.entries(run.reasons)) {
      for (const [reason, rows] of Object.entries(reasons)) {
        const key = `${source}\n${reason}`;
        const one = found.get(key) ?? { source, reason, first: run.as_of, began: runs[0] === run ? rows : 0 };
        found.set(key, { ...one, last: run.as_of, run: run.id, rows: run === runs[runs.length - 1] ? rows : 0, seen: rows });
      }
    }
  }
  return [...found.values()].sort((a, b) => b.rows - a.rows || b.seen - a.seen);
}

function drawQuarantine() {
  const runs = inRange().filter((run) => run.cleaned !== null);
  const sources = [...new Set(runs.flatMap((run) => Object.keys(run.reasons)))].sort();
  const sum = (reasons) => Object.values(reasons ?? {}).reduce((rows, more) => rows + more, 0);
  if (window.echarts) chart("chart-quarantine", runs, sources.map((source) => bar(source, runs.map((run) => sum(run.reasons[source])), "aside")));
  const reasons = byReason(runs);
  const signed = (rows) => (rows > 0 ? `+${count(rows)}` : count(rows));
  show("reasons", reasons.length
    ? table([say("Source"), say("Reason"), `#${say("Rows")}`, `#${say("Change")}`, say("Seen")], reasons.slice(0, SHOWN).map((one) => [
      one.source,
      el("button", { class: "plain", onclick: () => openRows(["set-aside", one.run, one.source, one.reason]) }, one.reason),
      count(one.rows), signed(one.rows - one.began), el("span", { class: "when" }, one.first === one.last ? one.last : `${one.first} – ${one.last}`)]))
    : empty(say("Nothing in quarantine"), runs.length ? say("in the run of {date}", { date: runs[runs.length - 1].as_of }) : say("No run has cleaned any data yet.")));
}

export const quarantine = { draw: drawQuarantine };
