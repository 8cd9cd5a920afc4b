// What the good run of the newest as_of has cost, by task and by theme, and what runs cost over time.

import { bar, chart } from "../charts.js";
import { $, el, empty, link, runUrl, show, table } from "../dom.js";
import { inRange } from "../runs.js";
import { page } from "../state.js";
import { bytes, count, duration, fixed, money, say, share } from "../words.js";

const tile = (label, value, note) => el("div", { class: "tile" }, el("b", {}, value), el("span", {}, label), el("span", {}, note));
const cpu = (seconds) => (seconds < 90 ? `${fixed(seconds, 1)} s` : duration(seconds));

function drawTiles(cost) {
  const times = cost.usual ? say("{times} times the usual {usual}", { times: fixed(cost.total / cost.usual, 1), usual: money(cost.usual) }) : say("what is usual is known after five days");
  show("cost-tiles",
    tile(say("this run"), money(cost.total), times),
    tile(say("a month at this pace"), money(cost.month), say("30 daily runs and what is kept")),
    tile(say("a thousand players, a month"), money(cost.thousand_players), say("{count} players", { count: count(cost.players) })),
    tile(say("keeping the store, a month"), money(cost.storage), bytes(cost.store_bytes)));
}

// Rows have their tasks in no order. Parts of a step, and tasks that only some deployments have, come last.
const place = (task) => (page.overview.tasks.indexOf(task) + 1) || page.overview.tasks.length + 1;
const inOrder = (tasks) => [...tasks].sort((a, b) => place(a) - place(b) || (a < b ? -1 : 1));

function drawTasks(cost) {
  const requests = (used) => Object.entries(used.requests).map(([kind, sent]) => `${kind} ${count(sent)}`).join(", ") || "–";
  const rows = inOrder(Object.keys(cost.tasks)).map((task) => [task, cost.tasks[task]]).map(([task, used]) => [
    used.tries > 1 ? say("{task}, {count} tries", { task, count: used.tries }) : task, cpu(used.cpu_seconds), requests(used), `${bytes(used.bytes_received)} / ${bytes(used.bytes_sent)}`,
    `${count(used.rows_read)} / ${count(used.rows_written)}`, cpu(used.postgres_seconds), money(used.cost)]);
  show("cost-tasks", table([say("Task"), `#${say("Processor")}`, say("Requests to S3"), `#${say("From / to S3")}`, `#${say("Rows from / to PostgreSQL")}`, `#${say("In statements")}`, `#${say("Cost")}`], rows));
}

function drawThemes(cost) {
  const themes = Object.entries(cost.themes).sort(([, [a]], [, [b]]) => b - a);
  if (!themes.length) {
    show("cost-themes", empty(say("No theme was computed"), say("Nothing had changed, so the table of an earlier run was copied.")));
    return;
  }
  const all = themes.reduce((sum, [, [seconds]]) => sum + seconds, 0);
  show("cost-themes", table([say("Theme"), `#${say("Processor")}`, `#${say("Share")}`, `#${say("Cost")}`], themes.map(([theme, [seconds, amount]]) => [theme.replaceAll("_", " "), `${fixed(seconds, 2)} s`, share(seconds / all), money(amount)])));
}

function drawCosts() {
  const cost = page.overview.cost;
  const any = cost.total !== undefined;
  $("cost-details").hidden = !any;
  if (!any) {
    show("cost-hint", say("No run has told yet what it used."));
    return;
  }
  const prices = cost.prices;
  show("cost-hint", link(say("The run as of {date}", { date: cost.as_of }), runUrl(cost.run)), " · ", say("Processor time of tasks, failed tries included, at {vcpu} an hour, and requests to S3 at {writes} for 1,000 that write and {reads} for 1,000 that read; a GB costs {gb} a month. PostgreSQL's server, Airflow's own services and the network are not in it.", { vcpu: money(prices.price_vcpu_hour), writes: money(prices.price_1000_writes), reads: money(prices.price_1000_reads), gb: money(prices.price_gb_month) }));
  drawTiles(cost);
  drawTasks(cost);
  drawThemes(cost);
  if (!window.echarts) return;
  const runs = inRange();
  const tasks = inOrder(new Set(runs.flatMap((run) => Object.keys(run.tasks)))).filter((task) => runs.some((run) => run.tasks[task]?.[3]));
  chart("chart-cost", runs, tasks.map((task) => bar(task, runs.map((run) => run.tasks[task]?.[3] ?? null), "cost")), { format: money, axis: money });
}

export const costs = { draw: drawCosts };
