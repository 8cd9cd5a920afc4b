// The monitoring page. Data comes from api/overview; everything from it reaches the DOM as text, never as markup.
"use strict";

const SEVERITY = { CRITICAL: "bad", HIGH: "bad", MEDIUM: "warn", LOW: "" };
const HOUR = 3600e3;
const charts = new Map();
const driftCharts = [];
let overview = null;
let days = 90;

const $ = (id) => document.getElementById(id);

function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== null) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

// ---------------------------------------------------------------- looks

function followTheme() {
  const apply = () => {
    let theme = null;
    try {
      const root = window.parent.document.documentElement;
      if (window.parent !== window) theme = root.classList.contains("dark") ? "dark" : root.classList.contains("light") ? "light" : null;
    } catch { /* another origin */ }
    if (!theme) theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    const dark = theme === "dark";
    if (document.documentElement.classList.contains("dark") !== dark) {
      document.documentElement.classList.toggle("dark", dark);
      if (overview) { drawCharts(); drawMovements(); drawDrift(); }
    }
  };
  apply();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", apply);
  try {
    if (window.parent !== window) {
      new MutationObserver(apply).observe(window.parent.document.documentElement, { attributes: true, attributeFilter: ["class"] });
    }
  } catch { /* another origin */ }
}

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// ---------------------------------------------------------------- links

const runUrl = (id, dag = overview.dag_id) => new URL(`../dags/${encodeURIComponent(dag)}/runs/${encodeURIComponent(id)}`, document.baseURI).href;
const reportUrl = (id, stage) => new URL(`reports/${encodeURIComponent(id)}/${encodeURIComponent(stage)}`, document.baseURI).href;
const runbookUrl = (anchor) => new URL(`runbook#${anchor}`, document.baseURI).href;

// The UI's frame may neither navigate the window around it nor open another; a link of the outer document may.
function open(url, event) {
  event?.preventDefault();
  let outer = document;
  try { outer = window.parent.document; } catch { /* another origin */ }
  const anchor = outer.createElement("a");
  anchor.href = url;
  outer.body.append(anchor);
  anchor.click();
  anchor.remove();
}

const link = (text, url) => el("a", { href: url, onclick: (event) => open(url, event) }, text);

// ---------------------------------------------------------------- words and figures

// The sentences below are English. Those of another language come from texts/<language>, by the English sentence.
let sentences = {};
let number, compact;
const say = (sentence, places = {}) => (sentences[sentence] ?? sentence).replace(/\{(\w+)\}/g, (place, name) => places[name] ?? place);
const language = () => document.documentElement.lang;

async function speak(wanted) {
  sentences = {};
  if (wanted !== "en") {
    const response = await fetch(`texts/${encodeURIComponent(wanted)}`, { headers: { Accept: "application/json" } }).catch(() => null);
    if (response?.ok) sentences = await response.json();
    else wanted = "en";
  }
  document.documentElement.lang = wanted;
  number = new Intl.NumberFormat(wanted, { maximumFractionDigits: 1 });
  compact = new Intl.NumberFormat(wanted, { notation: "compact", maximumFractionDigits: 1 });
  for (const node of document.querySelectorAll("[data-say]")) {
    node.dataset.say ||= node.textContent;
    node.textContent = say(node.dataset.say);
  }
  for (const button of document.querySelectorAll("[data-language]")) button.setAttribute("aria-pressed", String(button.dataset.language === wanted));
  if (overview) { draw(); drawDrift(); }
}

// What a reader has chosen stays with the browser, if it may keep anything.
function remembered() {
  try { return localStorage.getItem("crmbet-language"); } catch { return null; }
}

function remember(chosen) {
  try { localStorage.setItem("crmbet-language", chosen); } catch { /* nothing is kept */ }
}

const fixed = (value, digits) => value.toLocaleString(language(), { minimumFractionDigits: digits, maximumFractionDigits: digits, useGrouping: false });
const count = (value) => (value === null || value === undefined ? "–" : number.format(value));
const short = (value) => (value === null || value === undefined ? "–" : compact.format(value));
const percent = (share) => (share === null || share === undefined ? "–" : `${fixed(share * 100, share && share < 0.001 ? 3 : 2)}%`);
const score = (value) => (value === null || value === undefined ? "–" : fixed(value, 3));
const binary = (largest) => (largest < 2 ** 30 ? ["MiB", 2 ** 20] : ["GiB", 2 ** 30]);
function bytes(value) {
  if (value === null || value === undefined) return "–";
  const [unit, size] = binary(value);
  return `${number.format(value / size)} ${unit}`;
}
const instant = (text) => new Date(text).toLocaleString(language() === "en" ? "en-GB" : language(), { day: "2-digit", month: "short", hour: "2-digit", minute: "2-digit" });

function duration(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${fixed(seconds / 3600, 1)} h`;
}

function ago(text) {
  const hours = (new Date(overview.now) - new Date(text)) / HOUR;
  if (hours < 1.5) return say("{count} min ago", { count: Math.max(0, Math.round(hours * 60)) });
  return hours < 48 ? say("{count} h ago", { count: Math.round(hours) }) : say("{count} days ago", { count: Math.round(hours / 24) });
}

const table = (heads, rows) => el("table", {},
  el("thead", {}, el("tr", {}, ...heads.map((head) => el("th", { scope: "col", class: head.startsWith("#") ? "number" : undefined }, head.replace("#", ""))))),
  el("tbody", {}, ...rows.map((cells) => el("tr", {}, ...cells.map((cell, i) => el("td", { class: heads[i].startsWith("#") ? "number" : undefined }, cell ?? "–"))))));

const empty = (title, text) => el("div", { class: "empty" }, el("b", {}, title), el("span", {}, text));
const tag = (text, kind = "") => el("span", { class: `tag ${kind}` }, text);
const show = (id, ...nodes) => $(id).replaceChildren(...nodes.filter((node) => node !== null));

// ---------------------------------------------------------------- what is shown

const NO_FIGURES = { score: null, grade: null, cleaned: null, duplicates: null, quarantined: null, reasons: {}, tasks: {}, players: null };

// One item for each as_of: the figures of its last good run, and its failed runs. Trials (dry_run, validate_only) are
// left out.
function daily(runs) {
  const byDay = new Map();
  for (const run of runs) {
    if (run.dry || !run.as_of) continue;
    const day = byDay.get(run.as_of) ?? { good: null, failed: [] };
    byDay.set(run.as_of, day);
    if (run.state === "failed") day.failed.push(run);
    else day.good ??= run;
  }
  return [...byDay.entries()].sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([as_of, { good, failed }]) => ({ ...(good ?? { ...NO_FIGURES, id: failed[0].id }), as_of, failed }));
}

function inRange() {
  const all = daily(overview.runs);
  if (!days || !all.length) return all;
  const first = new Date(new Date(all[all.length - 1].as_of) - days * 24 * HOUR).toISOString().slice(0, 10);
  return all.filter((run) => run.as_of > first);
}

// The tab on a run is about that run; everywhere else the page is about today's table.
function describeRun(run) {
  const failed = run.state === "failed";
  return [failed ? "bad" : "good", failed ? (run.failed_task ? say("This run failed at {task}", { task: run.failed_task }) : say("This run failed")) : say("This run succeeded"),
    run.failure ?? "", say("It ended {when}.", { when: ago(run.ended) }), run];
}

// Whether a failed run is why the table is old: it is about a later day, or nobody knows its day and one is due. The
// failure of any other run has changed nothing in the table.
const holdsBack = (run, loaded, age) => (!loaded ? true : run.as_of ? run.as_of > loaded.as_of : run.ended > loaded.ended && age >= 24);

function sayFailed({ as_of, failed_task }) {
  if (as_of && failed_task) return say("The run as of {date} failed at {task}", { date: as_of, task: failed_task });
  if (as_of) return say("The run as of {date} failed", { date: as_of });
  return failed_task ? say("The run failed at {task}", { task: failed_task }) : say("The run failed");
}

function verdict() {
  const wanted = new URLSearchParams(location.search).get("run");
  const shown = wanted && overview.runs.find((run) => run.id === wanted);
  if (shown) return describeRun(shown);
  const loaded = overview.table;
  const age = loaded ? (new Date(overview.now) - new Date(loaded.cut_off)) / HOUR : Infinity;
  const freshness = loaded ? say("The table holds features as of {date}, loaded {when}.", { date: loaded.as_of, when: ago(loaded.ended) }) : say("No run has loaded the table yet.");
  const failed = overview.runs.filter((run) => !run.dry && run.state === "failed");
  const blocking = failed.find((run) => holdsBack(run, loaded, age));
  if (blocking) {
    return ["bad", sayFailed(blocking), blocking.failure ?? "", freshness, blocking];
  }
  const run = loaded ?? overview.runs.find((one) => !one.dry);
  const others = failed.filter((one) => one.ended > run.ended);
  if (age < 25) return ["good", say("Today's run succeeded and the data is fresh"), "", freshness, run, others];
  if (age < 33) return ["warn", say("Today's run has not finished yet"), "", freshness, run, others];
  return ["bad", say("The data is stale"), "", freshness, run, others];
}

const sayDay = (run) => (run.as_of ? say("as of {date}", { date: run.as_of }) : say("as_of unknown"));

function tellOthers(others) {
  if (!others.length) return null;
  const named = others.slice(0, 3).flatMap((run, i) => [i ? ", " : "", link(`${sayDay(run)}${run.failed_task ? say(" at {task}", { task: run.failed_task }) : ""}`, runUrl(run.id))]);
  return el("p", { class: "muted", id: "others" }, `${others.length === 1 ? say("A run has failed since, and changed nothing in the table") : say("{count} runs have failed since, and changed nothing in the table", { count: others.length })}: `, ...named, others.length > 3 ? ", …" : ".");
}

function drawStatus() {
  const [kind, title, why, freshness, run, others = []] = verdict();
  const tile = (value, label, url) => el("div", { class: "tile" }, el("b", {}, url ? link(value, url) : value), el("span", {}, label));
  $("status").className = `hero card ${kind}`;
  show("status",
    el("div", { class: "verdict" }, el("span", { class: "dot" }),
      el("div", {}, el("h2", {}, title), why ? el("p", {}, why) : null, el("p", { class: "muted" }, freshness, " ", link(say("Open the run"), runUrl(run.id))), tellOthers(others))),
    el("div", { class: "tiles" },
      tile(run.grade ? `${run.grade} · ${score(run.score)}` : "–", say("quality grade and score"), run.stages.features ? reportUrl(run.id, "features") : run.stages.raw ? reportUrl(run.id, "raw") : null),
      tile(short(run.extracted), say("records extracted")),
      tile(run.accepted_rate === null ? "–" : percent(1 - run.accepted_rate), say("in quarantine ({count} records)", { count: short(run.quarantined) })),
      tile(short(run.transformed), say("players; {count} rows changed", { count: short((run.inserted ?? 0) + (run.updated ?? 0)) }))));
  $("subtitle").textContent = `ml_features.user_features · ${sayDay(run)} · ${say("took {time} · read {read}, wrote {written}", { time: duration(run.seconds), read: bytes(run.bytes_read), written: bytes(run.bytes_written) })}`;
}

function drawTables(runs) {
  const failed = overview.runs.filter((run) => run.breaches.length).slice(0, 40).flatMap((run) => run.breaches.slice(0, 5).map((breach) => [
    el("span", { class: "when" }, link(run.as_of?.slice(5) ?? "?", reportUrl(run.id, breach.stage))),
    el("span", {}, tag(say(breach.severity), SEVERITY[breach.severity]), " ", `${breach.check.replaceAll("_", " ")} · ${breach.view}: ${breach.title.replace(/\.$/, "")}${breach.observed ? `. ${say("Observed")}: ${breach.observed}` : ""}${breach.threshold ? ` (${say("allowed")}: ${breach.threshold})` : ""}`)]));
  show("breaches", failed.length ? table([say("as of"), say("What")], failed) : empty(say("All checks passed"), say("in every stored run")));

  const newest = [...runs].reverse().find((run) => run.cleaned !== null);
  const reasons = newest ? Object.entries(newest.reasons).flatMap(([source, counts]) => Object.entries(counts).map(([reason, rows]) => [source, reason, rows])) : [];
  reasons.sort((a, b) => b[2] - a[2]);
  show("reasons", reasons.length
    ? table([say("Source"), say("Reason"), `#${say("Rows")}`], reasons.slice(0, 100).map(([source, reason, rows]) => [source, reason, count(rows)]))
    : empty(say("Nothing in quarantine"), newest ? say("in the run of {date}", { date: newest.as_of }) : say("No run has cleaned any data yet.")));

  const alerts = overview.alerts.map((alert) => [
    el("span", { class: "when" }, instant(alert.raised_at)), link(alert.task_id ?? alert.dag_id, runUrl(alert.execution_id, alert.dag_id)),
    el("span", {}, tag(say(alert.kind), alert.kind === "recovered" ? "good" : ["deadline", "set_aside"].includes(alert.kind) ? "warn" : "bad"), " ", say(alert.what), " ", link(say("What to do"), runbookUrl(alert.anchor)))]);
  show("alerts", alerts.length ? table([say("When"), say("Where"), say("What")], alerts) : empty(say("No alerts"), say("since monitoring was set up")));
}

// ---------------------------------------------------------------- charts

const PALETTE = ["#3b82f6", "#14b8a6", "#f59e0b", "#8b5cf6", "#ec4899", "#64748b", "#22c55e", "#ef4444", "#06b6d4", "#a3a3a3", "#d97706", "#7c3aed"];

function chart(id, runs, series, options = {}) {
  const failures = runs.filter((run) => run.failed.length);
  if (!series.length || (!failures.length && !series.some((one) => one.data.some((value) => value !== null)))) {
    charts.get(id)?.dispose();
    charts.delete(id);
    show(id, empty(say("Nothing to draw yet"), say("The figures come from the first run that gets this far.")));
    return;
  }
  let drawn = charts.get(id);
  if (!drawn) {
    $(id).replaceChildren();
    drawn = echarts.init($(id), null, { renderer: "canvas" });
    charts.set(id, drawn);
    drawn.on("click", (event) => open(runUrl(event.data?.failed ?? drawn.runs[event.dataIndex].id)));
  }
  drawn.runs = runs;
  const text = css("--muted"), line = css("--line");
  // On the axis of days, where they hide no figure.
  series[0].markPoint = {
    symbol: "triangle", symbolSize: 9, itemStyle: { color: css("--bad") }, label: { show: false },
    data: failures.map((run) => ({ xAxis: run.as_of, yAxis: 0, y: "88%", failed: run.failed[0].id, name: run.failed.map((one) => one.failed_task ?? one.id).join(", ") })),
    tooltip: { trigger: "item", formatter: (mark) => say("{date}: failed at {tasks}", { date: mark.data.xAxis, tasks: mark.name }) },
  };
  drawn.setOption({
    animation: false,
    color: PALETTE,
    textStyle: { fontFamily: "inherit" },
    grid: { left: 8, right: 12, top: series.length > 1 ? 34 : 12, bottom: 4, containLabel: true },
    legend: series.length > 1 ? { type: "scroll", top: 0, left: 0, icon: "roundRect", itemWidth: 10, itemHeight: 10, textStyle: { color: text, fontSize: 11 }, pageTextStyle: { color: text }, pageIconColor: text } : undefined,
    tooltip: { trigger: "axis", confine: true, backgroundColor: css("--card"), borderColor: line, textStyle: { color: css("--text"), fontSize: 12 }, valueFormatter: options.format ?? count, renderMode: "richText" },
    xAxis: { type: "category", data: runs.map((run) => run.as_of), axisLabel: { color: text, fontSize: 11, hideOverlap: true }, axisLine: { lineStyle: { color: line } }, axisTick: { show: false } },
    yAxis: [{ type: "value", axisLabel: { color: text, fontSize: 11, formatter: options.axis ?? short }, splitLine: { lineStyle: { color: line } }, ...options.y },
      ...(options.right ? [{ type: "value", axisLabel: { color: text, fontSize: 11, formatter: options.right }, splitLine: { show: false }, min: 0 }] : [])],
    series,
  }, true);
}

const bar = (name, data, stack, more = {}) => ({ name, type: "bar", stack, data, barMaxWidth: 22, ...more });
const curve = (name, data, more = {}) => ({ name, type: "line", data, symbolSize: 6, showSymbol: data.length <= 60, connectNulls: false, lineStyle: { width: 2 }, ...more });

function drawCharts() {
  const runs = inRange();
  const grades = { A: css("--good"), B: css("--good"), C: css("--warn"), D: css("--warn"), F: css("--bad") };
  chart("chart-score", runs, [curve(say("Score"), runs.map((run) => run.score === null ? null : { value: run.score, itemStyle: { color: grades[run.grade] } }), { areaStyle: { opacity: 0.08 }, symbolSize: 6, showSymbol: true, showAllSymbol: true,
    markLine: { silent: true, symbol: "none", lineStyle: { color: css("--line"), type: "dashed" }, label: { color: css("--muted"), formatter: "{b}", position: "insideEndTop" }, data: [{ name: "A", yAxis: 0.9 }, { name: "B", yAxis: 0.8 }, { name: "C", yAxis: 0.7 }, { name: "D", yAxis: 0.6 }] } })],
    { format: score, axis: (value) => fixed(value, 1), y: { min: (range) => Math.min(0.5, Math.floor(range.min * 10) / 10), max: 1 } });
  chart("chart-records", runs, [bar(say("accepted"), runs.map((run) => run.cleaned), "in"), bar(say("duplicates"), runs.map((run) => run.duplicates), "in"),
    curve(say("in quarantine"), runs.map((run) => run.quarantined), { yAxisIndex: 1, color: css("--bad") })], { right: short });
  const byTask = (place) => overview.tasks.map((task) => [task, runs.map((run) => run.tasks[task]?.[place] ?? null)]);
  chart("chart-duration", runs, byTask(1).map(([task, data]) => bar(task, data, "tasks")), { format: (value) => value === null || value === undefined ? "–" : `${number.format(value)} s`, axis: duration });
  const memory = byTask(2), [unit, size] = binary(Math.max(...memory.flatMap(([, data]) => data)));
  const sized = (value) => value === null || value === undefined ? "–" : `${number.format(value)} ${unit}`;
  chart("chart-memory", runs, memory.map(([task, data]) => curve(task, data.map((value) => value === null ? null : value / size))), { format: sized, axis: sized });
  const segments = [...new Set(runs.flatMap((run) => Object.keys(run.players?.segments ?? {})))].sort();
  chart("chart-segments", runs, segments.map((segment) => bar(segment.replaceAll("_", " "), runs.map((run) => run.players ? run.players.segments[segment]?.players ?? 0 : null), "segments")));
  const colors = { low: css("--good"), medium: css("--warn"), high: "#f97316", critical: css("--bad"), churned: "#475569", undefined: css("--muted") };
  chart("chart-churn", runs, [...Object.keys(colors).map((band) => bar(band === "undefined" ? say("undefined") : say("{band} risk", { band }), runs.map((run) => run.players ? run.players.churn[band] ?? 0 : null), "churn", { color: colors[band] })),
    curve(say("mean value score"), runs.map((run) => run.players?.value.mean ?? null), { yAxisIndex: 1, color: css("--accent") }),
    curve(say("AUC of last month's churn scores"), runs.map((run) => run.players?.churn_auc ?? null), { yAxisIndex: 1, color: css("--text") })], { right: (value) => fixed(value, 1) });
}

// ---------------------------------------------------------------- movements

const DIMENSIONS = { rfm_segment: () => say("Segment"), lifecycle_stage: () => say("Stage of life"), churn_risk_band: () => say("Churn band"), rg_risk_band: () => say("Protection band") };
const PERIODS = { 1: () => say("since yesterday"), 30: () => say("since a month ago") };
const SHOWN_FLOWS = 12;
let dimension = "rfm_segment";
let period = 1;

const words = (segment, absent) => segment === null ? absent : segment.replaceAll("_", " ");
const before = (flow) => words(flow.from, say("new players"));
const after = (flow) => words(flow.to, say("gone"));

function choices(id, options, chosen, choose) {
  show(id, ...Object.entries(options).map(([value, text]) => el("button", { "aria-pressed": String(String(chosen) === value), onclick: () => { choose(value); drawMovements(); } }, text())));
}

function tellFlow(flow, players) {
  const places = { from: before(flow), to: after(flow), count: count(players), reason: flow.reason };
  return flow.reason ? say("{from} → {to}: {count}, mostly by {reason}", places) : say("{from} → {to}: {count}", places);
}

// The players who have moved, as a picture of flows: where they were on the left, where they are on the right.
function drawMovements() {
  choices("movement-dimension", DIMENSIONS, dimension, (value) => { dimension = value; });
  choices("movement-period", PERIODS, period, (value) => { period = Number(value); });
  const all = (overview.table?.movements ?? []).filter(([days, of]) => days === period && of === dimension)
    .map(([, , from, to, players, reason]) => ({ from, to, players, reason }));
  const moved = all.filter((flow) => flow.from !== flow.to).sort((a, b) => b.players - a.players);
  const sum = (flows) => count(flows.reduce((players, flow) => players + flow.players, 0));
  charts.get("chart-movements")?.dispose();
  charts.delete("chart-movements");
  if (!moved.length) {
    show("chart-movements", empty(say("Nobody has moved"), say("The run that loads the table compares it with the earlier day, if the history has it.")));
    show("movements");
    $("movement-hint").textContent = "\u00a0";
    return;
  }
  $("movement-hint").textContent = say("{moved} players have moved {since}, {stayed} have stayed. As of {date}.", { moved: sum(moved), since: PERIODS[period](), stayed: sum(all.filter((flow) => flow.from === flow.to)), date: overview.table.as_of });
  show("movements", table([say("From"), say("To"), `#${say("Players")}`, say("Mostly by")], moved.slice(0, SHOWN_FLOWS).map((flow) => [before(flow), after(flow), count(flow.players), flow.reason ?? "–"])));
  if (!window.echarts) return;
  $("chart-movements").replaceChildren();
  const drawn = echarts.init($("chart-movements"), null, { renderer: "canvas" });
  charts.set("chart-movements", drawn);
  const names = [...new Set(moved.flatMap((flow) => [flow.from, flow.to]))].sort();
  const nodes = new Map();
  const node = (segment, side, position, text) => {
    const name = `${side}:${segment}`;
    nodes.set(name, { name, itemStyle: { color: PALETTE[names.indexOf(segment) % PALETTE.length] }, label: { position, formatter: text } });
    return name;
  };
  const links = moved.map((flow) => ({ source: node(flow.from, "then", "right", before(flow)), target: node(flow.to, "now", "left", after(flow)), value: flow.players, flow }));
  drawn.setOption({
    animation: false, textStyle: { fontFamily: "inherit" },
    tooltip: { trigger: "item", confine: true, backgroundColor: css("--card"), borderColor: css("--line"), textStyle: { color: css("--text"), fontSize: 12 }, renderMode: "richText",
      formatter: ({ data, value }) => data.flow ? tellFlow(data.flow, value) : `${data.label.formatter}: ${count(value)}` },
    series: [{ type: "sankey", left: 4, right: 4, top: 6, bottom: 6, nodeWidth: 10, nodeGap: 10, draggable: false, layoutIterations: 0, emphasis: { focus: "adjacency" },
      label: { color: css("--text"), fontSize: 11 }, lineStyle: { color: "gradient", opacity: 0.35 }, data: [...nodes.values()], links }],
  });
}

// ---------------------------------------------------------------- drift

const MEASURES = { psi: () => say("stability index"), ks: () => say("Kolmogorov-Smirnov distance"), quartile_shift: () => say("quartiles"), variance_ratio: () => say("variance"), skew_shift: () => say("skew") };
const SHOWN_FEATURES = 8;
let drift = [];
let allFeatures = false;

// One small picture for each feature: its distribution in the baseline beside today's, in the same bins.
function drawDrift() {
  for (const drawn of driftCharts.splice(0)) drawn.dispose();
  if (!drift.length) {
    show("drift", empty(say("No drift figures yet"), say("They appear after the first run that compares its features with a baseline.")));
    return;
  }
  const { as_of, baseline, execution_id } = drift[0];
  const moved = drift.filter((feature) => feature.beyond.length).length;
  const places = { date: as_of.slice(0, 10), baseline, moved, all: drift.length };
  const told = moved ? say("Each feature as of {date} beside its baseline of {baseline}: {moved} of {all} have moved too far.", places) : say("Each feature as of {date} beside its baseline of {baseline}: none of {all} has moved too far.", places);
  $("drift-hint").replaceChildren(told, " ", link(say("Report"), reportUrl(execution_id, "features")));
  const shown = allFeatures ? drift : drift.slice(0, Math.max(SHOWN_FEATURES, moved));
  const pictures = shown.map((feature) => el("div", { class: "picture" }));
  show("drift",
    el("div", { class: "multiples" }, ...shown.map((feature, i) => el("figure", {},
      el("figcaption", {}, el("b", {}, feature.feature), " ", feature.beyond.length ? tag(say("moved since {date}", { date: feature.since.slice(0, 10) }), "bad") : tag(say("no drift"), "good"),
        el("span", { class: "muted" }, feature.psi === null ? "" : say("stability index {value} (limit {limit})", { value: fixed(feature.psi, 3), limit: feature.psi_limit.toLocaleString(language()) }),
          feature.beyond.length ? say("; beyond its limit: {measures}", { measures: feature.beyond.map((measure) => MEASURES[measure]?.() ?? measure).join(", ") }) : "")),
      pictures[i]))),
    shown.length < drift.length || allFeatures ? el("button", { class: "more", onclick: () => { allFeatures = !allFeatures; drawDrift(); } }, allFeatures ? say("Show fewer") : say("Show all {count}", { count: drift.length })) : null);
  if (!window.echarts) return;
  shown.forEach((feature, i) => {
    const drawn = echarts.init(pictures[i], null, { renderer: "canvas" });
    driftCharts.push(drawn);
    const of = (name, place, color) => ({ name, type: "bar", barGap: "0%", barCategoryGap: "20%", itemStyle: { color }, data: feature.bins.map((bin) => bin[place]) });
    drawn.setOption({
      animation: false, textStyle: { fontFamily: "inherit" },
      grid: { left: 0, right: 0, top: 4, bottom: 0 },
      tooltip: { trigger: "axis", appendTo: document.body, backgroundColor: css("--card"), borderColor: css("--line"), textStyle: { color: css("--text"), fontSize: 12 }, valueFormatter: percent, renderMode: "richText" },
      xAxis: { type: "category", data: feature.bins.map((bin) => bin[0]), axisLabel: { show: false }, axisTick: { show: false }, axisLine: { lineStyle: { color: css("--line") } } },
      yAxis: { type: "value", show: false },
      series: [of(say("baseline"), 1, css("--muted")), of(say("now"), 2, feature.beyond.length ? css("--bad") : css("--accent"))],
    });
  });
}

async function loadDrift() {
  const response = await fetch("api/drift", { headers: { Accept: "application/json" } });
  if (!response.ok) return;
  ({ features: drift } = await response.json());
  drawDrift();
}

// ---------------------------------------------------------------- loading

function problem(title, text) {
  $("problem").hidden = !title;
  if (title) show("problem", el("b", {}, title), el("p", {}, text), el("p", {}, el("a", { href: "#", onclick: (event) => { event.preventDefault(); load(); } }, say("Try again"))));
}

function draw() {
  const any = overview.runs.some((run) => !run.dry);
  $("panels").hidden = !any;
  if (!any) {
    $("status").className = "hero card";
    show("status", empty(say("No run yet"), say("Switch on user_features_daily, or trigger it by hand. The page shows its first run when it has ended.")));
    return;
  }
  drawStatus();
  drawTables(inRange());
  if (window.echarts) drawCharts();
  drawMovements();
}

async function load() {
  try {
    const response = await fetch("api/overview", { headers: { Accept: "application/json" } });
    const body = await response.json().catch(() => ({}));
    if (!response.ok) {
      problem(response.status === 401 || response.status === 403 ? say("You may not see this") : say("There is no data to show"),
        `${body.what ?? body.detail ?? say("The server answered {status}", { status: response.status })}. ${overview ? say("The figures below are older.") : ""} ${body.next ?? ""}`);
      if (!overview) { $("status").hidden = true; $("panels").hidden = true; }
      return;
    }
    overview = body;
    $("status").hidden = false;
    problem(null);
    draw();
    await loadDrift();
  } catch {
    problem(say("The server does not answer"), say("Check that Airflow's API server is running."));
  } finally {
    document.body.classList.remove("loading");
  }
}

// Its megabyte waits until the page has been painted.
function loadCharts() {
  document.head.append(el("script", { src: "static/echarts-6.1.0.min.js", onload: () => { if (overview) { draw(); drawDrift(); } } }));
}

document.addEventListener("DOMContentLoaded", async () => {
  followTheme();
  requestAnimationFrame(() => setTimeout(loadCharts));
  for (const button of document.querySelectorAll("[data-language]")) {
    button.addEventListener("click", () => { remember(button.dataset.language); speak(button.dataset.language); });
  }
  for (const button of document.querySelectorAll("[data-days]")) {
    button.addEventListener("click", () => {
      days = Number(button.dataset.days);
      for (const other of document.querySelectorAll("[data-days]")) other.setAttribute("aria-pressed", String(other === button));
      if (overview) draw();
    });
  }
  new ResizeObserver(() => { for (const drawn of [...charts.values(), ...driftCharts]) drawn.resize(); }).observe(document.body);
  await speak(remembered() ?? language());
  load();
  setInterval(() => { if (!document.hidden) load(); }, 60_000);
});
