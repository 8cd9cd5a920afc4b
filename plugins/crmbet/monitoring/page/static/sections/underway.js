// Runs that have not ended: which task is at work, how far the run is, and how long it will take as earlier runs did.

import { ask, el, link, runUrl, show, table } from "../dom.js";
import { page } from "../state.js";
import { duration, say } from "../words.js";

const PAST_RUNS = 10;
const EVERY_MILLISECONDS = 5_000;
const ENDED = ["success", "failed", "skipped", "upstream_failed", "removed"];
let under = { runs: [] };
let again = null;

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted.length ? sorted[Math.floor(sorted.length / 2)] : null;
}

// Seconds that a task took in the last good runs, or null if none has told.
const usual = (task) => median(page.overview.runs.filter((run) => run.state === "success" && !run.dry).slice(0, PAST_RUNS).map((run) => run.tasks[task]?.[1]).filter((seconds) => seconds));

// Seconds of a whole run, and those that are left. Tasks that run side by side count as the longest of them.
function timing(run) {
  const now = new Date(under.now);
  const steps = [under.side_by_side, ...page.overview.tasks.filter((task) => !under.side_by_side.includes(task)).map((task) => [task])];
  let whole = 0, left = 0;
  for (const step of steps) {
    const parts = step.map((task) => {
      const seconds = usual(task) ?? 0, { state, started } = run.tasks[task] ?? {};
      const spent = state === "running" && started ? (now - new Date(started)) / 1000 : 0;
      return [seconds, ENDED.includes(state) ? 0 : Math.max(0, seconds - spent)];
    });
    whole += Math.max(...parts.map(([seconds]) => seconds));
    left += Math.max(...parts.map(([, rest]) => rest));
  }
  return { whole, left };
}

function drawRun(run) {
  const { whole, left } = timing(run);
  const share = whole ? Math.round((1 - left / whole) * 100) : 0;
  const working = Object.entries(run.tasks).filter(([, task]) => task.state === "running");
  const waiting = Object.entries(run.tasks).filter(([, task]) => ["up_for_retry", "deferred", "awaiting_input"].includes(task.state));
  const told = working.length
    ? say("{tasks} at work, {done} of {all} tasks are done", { tasks: working.map(([name, task]) => (task.try_number > 1 ? say("{task} (try {number})", { task: name, number: task.try_number }) : name)).join(", "), done: Object.values(run.tasks).filter((task) => ENDED.includes(task.state)).length, all: Object.keys(run.tasks).length })
    : waiting.length ? say("{tasks} waiting", { tasks: waiting.map(([name]) => name).join(", ") }) : say("waiting for its turn");
  return [
    link(run.run_id, runUrl(run.run_id)), told,
    el("span", {}, el("progress", { max: 100, value: share, "aria-label": say("done") }), ` ${share}%`),
    el("span", { class: "when" }, !whole ? "–" : left < 1 ? say("longer than usual") : say("about {time} left", { time: duration(left) })),
  ];
}

function drawUnderway() {
  const panel = document.getElementById("underway");
  panel.hidden = !under.runs.length;
  if (!under.runs.length) return;
  const begun = under.runs.filter((run) => run.state !== "queued"), queued = under.runs.length - begun.length;
  show("underway", el("h3", {}, say("Runs under way")),
    begun.length ? table([say("Run"), say("What"), say("Progress"), say("Left")], begun.map(drawRun)) : null,
    queued ? el("p", { class: "hint" }, queued === 1 ? say("One more run waits for its turn.") : say("{count} more runs wait for their turn.", { count: queued })) : null);
}

async function loadUnderway() {
  clearTimeout(again);
  under = (await ask("api/underway")) ?? under;
  drawUnderway();
  if (under.runs.length) again = setTimeout(() => { if (!document.hidden) loadUnderway(); }, EVERY_MILLISECONDS);
}

export const underway = { load: loadUnderway, draw: drawUnderway };
