// Two runs side by side: their figures, checks and cost, and the cells in which their tables differ.

import { $, ask, el, empty, show, table, tag } from "../dom.js";
import { weekBefore } from "../runs.js";
import { choice, choose, page } from "../state.js";
import { bytes, count, duration, money, say, score } from "../words.js";

let difference = null;

const FIGURES = {
  extracted: () => [say("records extracted"), count], cleaned: () => [say("accepted"), count], duplicates: () => [say("duplicates"), count],
  quarantined: () => [say("in quarantine"), count], transformed: () => [say("players"), count], inserted: () => [say("rows inserted"), count],
  updated: () => [say("rows updated"), count], score: () => [say("Quality score"), score], bytes_read: () => [say("bytes read"), bytes], bytes_written: () => [say("bytes written"), bytes],
};

// The newest day first; of a day, the run that ended last.
const comparable = () => page.overview.runs.filter((run) => run.as_of && !run.dry).sort((a, b) => (a.as_of === b.as_of ? 0 : a.as_of < b.as_of ? 1 : -1));

// Usually the newest day beside the day a week before, or beside the one before it.
function chosenRuns() {
  const runs = comparable();
  const good = runs.filter((run) => run.state === "success");
  const find = (name, usual) => runs.find((run) => run.id === choice(name)) ?? usual;
  const other = find("other", good[0] ?? runs[0]);
  const earlier = () => weekBefore(other) ?? good.find((run) => run.as_of < other.as_of) ?? good.find((run) => run !== other) ?? other;
  return [find("one", other && earlier()), other];
}

function change(one, other, format) {
  if (one === null || other === null || one === undefined || other === undefined) return "–";
  const by = other - one;
  return format(Math.abs(by)) === format(0) ? "=" : `${by > 0 ? "+" : "−"}${format(Math.abs(by))}`;
}

const seconds = (run) => Object.values(run.tasks).reduce((sum, [, took]) => sum + (took ?? 0), 0);
const breachName = (breach) => `${breach.check.replaceAll("_", " ")} · ${breach.view}: ${breach.title}`;

function options(id, chosen) {
  show(id, ...comparable().map((run) => el("option", { value: run.id, ...(run === chosen && { selected: "" }) }, `${run.as_of} · ${run.state === "failed" ? `${say("failed")} · ` : ""}${run.id}`)));
}

function drawCompare() {
  const [one, other] = chosenRuns();
  if (!one || !other) {
    show("comparison", empty(say("Nothing to compare"), say("It takes two runs.")));
    return;
  }
  options("compare-one", one);
  options("compare-other", other);
  const figures = Object.entries(FIGURES).map(([name, words]) => {
    const [label, format] = words();
    return [label, format(one[name]), format(other[name]), change(one[name], other[name], format)];
  });
  const cell = (value, format) => (value === null ? "–" : format(value));
  const tasks = page.overview.tasks.flatMap((task) => [[1, duration], [3, money]].map(([place, format]) => {
    const [a, b] = [one, other].map((run) => run.tasks[task]?.[place] ?? null);
    return [place === 1 ? task : "", cell(a, format), cell(b, format), change(a, b, format)];
  }).filter(([task, a, b]) => task || a !== "–" || b !== "–"));
  const cost = [
    [say("all tasks together"), duration(seconds(one)), duration(seconds(other)), change(seconds(one), seconds(other), duration)],
    [say("cost of the run"), money(one.cost), money(other.cost), change(one.cost, other.cost, money)],
  ];
  const heads = (what) => [what, `#${one.as_of}`, `#${other.as_of}`, `#${say("Change")}`];
  const only = (run, without) => run.breaches.map(breachName).filter((name) => !without.breaches.map(breachName).includes(name));
  const failed = [...only(one, other).map((name) => [tag(one.as_of, "bad"), name]), ...only(other, one).map((name) => [tag(other.as_of, "bad"), name])];
  show("comparison",
    el("div", {}, table(heads(say("Figure")), figures)),
    el("div", {}, table(heads(say("Cost, in time of tasks and money")), [...tasks, ...cost])),
    el("div", {}, failed.length ? table([say("failed in one"), say("Check")], failed) : el("p", { class: "hint" }, say("The same checks failed in both, or none.")), cellsOf(one, other)));
}

function cellsOf(one, other) {
  const key = JSON.stringify([one.id, other.id]);
  if (difference?.key !== key) return el("button", { class: "more", onclick: () => countCells(one, other, key) }, say("Count the cells that differ"));
  if (difference.problem) return el("p", { class: "hint" }, difference.problem);
  if (!difference.cells) return el("p", { class: "hint" }, say("Loading…"));
  const cells = Object.entries(difference.cells);
  const told = say("{both} players are in both tables, {one} in the first alone, {other} in the second alone.", { both: count(difference.both), one: count(difference.only_one), other: count(difference.only_other) });
  return el("div", {}, el("p", { class: "hint" }, told), cells.length ? el("div", { class: "scroll" }, table([say("Column"), `#${say("Cells that differ")}`], cells.map(([name, differing]) => [name, count(differing)]))) : el("p", {}, say("No cell differs.")));
}

async function countCells(one, other, key) {
  difference = { key };
  drawCompare();
  const answer = await ask(`api/compare?${new URLSearchParams({ one: one.id, other: other.id })}`);
  difference = answer ? { key, ...answer } : { key, problem: say("The feature table of one of them is gone, or was never made.") };
  drawCompare();
}

function loadCompare() {
  for (const name of ["one", "other"]) $(`compare-${name}`).onchange = (event) => { choose({ [name]: event.target.value }); drawCompare(); };
}

export const compare = { load: loadCompare, draw: drawCompare };
