// The checks that failed, with the way to their rows, and how each check went over time.

import { chart, css, curve } from "../charts.js";
import { $, ask, el, empty, link, reportUrl, show, table, tag } from "../dom.js";
import { isShown, range } from "../runs.js";
import { choice, choose, page } from "../state.js";
import { count, percent, say } from "../words.js";
import { openRows } from "./rows.js";

const SEVERITY = { CRITICAL: "bad", HIGH: "bad", MEDIUM: "warn", LOW: "" };
const SQUARES = 30;
let checks = [];
let trend = null;

function drawBreaches() {
  const failed = page.overview.runs.filter(isShown()).filter((run) => run.breaches.length).slice(0, 40).flatMap((run) => run.breaches.slice(0, 5).map((breach) => [
    el("span", { class: "when" }, link(run.as_of?.slice(5) ?? "?", reportUrl(run.id, breach.stage))),
    el("span", {}, tag(say(breach.severity), SEVERITY[breach.severity]), " ", `${breach.check.replaceAll("_", " ")} · ${breach.view}: ${breach.title.replace(/\.$/, "")}${breach.observed ? `. ${say("Observed")}: ${breach.observed}` : ""}${breach.threshold ? ` (${say("allowed")}: ${breach.threshold})` : ""} `,
      el("button", { class: "plain", onclick: () => openRows(["breach", run.id, breach.stage, breach.view, breach.title]) }, say("Rows")))]));
  show("breaches", failed.length ? table([say("as of"), say("What")], failed) : empty(say("All checks passed"), say("in all shown runs")));
}

const within = ([day]) => {
  const { from, to } = range();
  return (!from || day >= from) && (!to || day <= to);
};

// The check that a reader has chosen, or the first one that failed last.
function chosenCheck() {
  const [stage, name] = choice("check").split("/");
  return checks.find((one) => one.stage === stage && one.check === name) ?? checks.find((one) => !one.judged[one.judged.length - 1][1]) ?? checks[0];
}

function drawChecks() {
  drawBreaches();
  if (!checks.length) {
    show("checks", empty(say("No check has run yet"), say("They run twice in each run: before cleaning, and before the load.")));
    $("check-trend").hidden = true;
    return;
  }
  const chosen = chosenCheck();
  show("checks", table([say("Check"), say("The last {count} days", { count: SQUARES })], checks.map((one) => [
    el("button", { class: "plain", "aria-pressed": String(one === chosen), onclick: () => { choose({ check: `${one.stage}/${one.check}`, expectation: null }); drawChecks(); loadTrend(); } },
      `${one.stage === "raw" ? say("raw data") : say("features")} · ${one.check.replaceAll("_", " ")}`),
    el("span", { class: "squares" }, ...one.judged.filter(within).slice(-SQUARES).map(([day, passed, id]) =>
      el("a", { class: passed ? "square" : "square bad", href: reportUrl(id, one.stage), title: `${day}: ${passed ? say("passed") : say("failed")}`, "aria-label": `${day}: ${passed ? say("passed") : say("failed")}` })))])));
  drawTrend();
}

function drawTrend() {
  $("check-trend").hidden = !trend;
  if (!trend) return;
  if (!trend.expectations.length) {
    $("chart-check").hidden = true;
    show("check-expectation");
    $("check-hint").textContent = say("This check counts nothing: it says yes or no.");
    return;
  }
  const wanted = Number(choice("expectation", "0"));
  const place = trend.expectations[wanted] ? wanted : 0;
  const shown = trend.expectations[place];
  show("check-expectation", ...trend.expectations.map((one, i) => el("option", { value: i, ...(i === place && { selected: "" }) }, `${one.view}: ${one.expectation}`)));
  $("check-hint").textContent = say("Allowed: {allowed}", { allowed: shown.allowed ?? "–" });
  $("chart-check").hidden = false;
  if (!window.echarts) return;
  const found = shown.found.filter(within);
  const figure = shown.is_share ? percent : count;
  const points = found.map(([as_of, , , , id]) => ({ as_of, id, failed: [] }));
  chart("chart-check", points, [
    curve(say("found"), found.map(([, value, , inBreach]) => ({ value, itemStyle: inBreach ? { color: css("--bad") } : undefined })), { showSymbol: true }),
    ...(found.some(([, , most]) => most !== null) ? [curve(say("most allowed"), found.map(([, , most]) => most), { color: css("--bad"), lineStyle: { width: 1, type: "dashed" }, showSymbol: false, step: "middle" })] : []),
  ], { format: figure, axis: figure });
}

async function loadTrend() {
  const chosen = chosenCheck();
  if (!chosen) return;
  trend = await ask(`api/checks/${encodeURIComponent(chosen.stage)}/${encodeURIComponent(chosen.check)}`);
  drawTrend();
}

async function loadChecks() {
  const answer = await ask("api/checks");
  if (!answer) return;
  checks = answer.checks;
  $("check-expectation").onchange = (event) => { choose({ expectation: event.target.value }); drawTrend(); };
  drawChecks();
  await loadTrend();
}

export const failedChecks = { load: loadChecks, draw: drawChecks };
