// The monitoring page: its sections, the data that they share, and what a reader may choose for all of them.

import { charts } from "./charts.js";
import { $, el, empty, show } from "./dom.js";
import { range } from "./runs.js";
import { alerts } from "./sections/alerts.js";
import { handedOver } from "./sections/audiences.js";
import { failedChecks } from "./sections/checks.js";
import { compare } from "./sections/compare.js";
import { costs } from "./sections/costs.js";
import { drift } from "./sections/drift.js";
import { figures } from "./sections/figures.js";
import { movements } from "./sections/movements.js";
import { quarantine } from "./sections/quarantine.js";
import { rows } from "./sections/rows.js";
import { status } from "./sections/status.js";
import { stream } from "./sections/stream.js";
import { underway } from "./sections/underway.js";
import { choose, page } from "./state.js";
import { followTheme } from "./theme.js";
import { language, remember, remembered, say, speak } from "./words.js";

// In the order of the page. A section draws what it has, again whenever data, language or theme change; one with data of
// its own also loads it. To add one: a file in sections/, its element in index.html, and a line here.
const SECTIONS = [status, underway, rows, failedChecks, figures, quarantine, costs, compare, movements, handedOver, drift, stream, alerts];
const EVERY_MILLISECONDS = 60_000;

// ---------------------------------------------------------------- choices

function drawRange() {
  const { from, to, days } = range();
  for (const button of document.querySelectorAll("[data-days]")) button.setAttribute("aria-pressed", String(button.dataset.days === days));
  $("from").value = from;
  $("to").value = to;
}

function changeRange(changes) {
  choose(changes);
  drawRange();
  load();
}

// Each brand has a page of its own. Only a deployment with several brands has the switch.
function drawBrands() {
  const here = location.pathname.split("/").at(-2), pages = Object.entries(page.overview.pages ?? {});
  $("brands").hidden = pages.length < 2;
  show("brands", ...pages.map(([name, folder]) => el("button", { "aria-pressed": String(folder === here), onclick: () => { location.href = new URL(`../${folder}/`, document.baseURI).href; } }, name)));
}

// The address of this view, outside of the UI's frame: it shows the same to whoever may see the page.
async function share() {
  $("shared").value = location.href;
  $("shared").hidden = false;
  $("shared").select();
  try { await navigator.clipboard.writeText(location.href); } catch { /* the reader copies it */ }
}

function listen() {
  for (const button of document.querySelectorAll("[data-language]")) {
    button.addEventListener("click", async () => { remember(button.dataset.language); await speak(button.dataset.language); draw(); });
  }
  for (const button of document.querySelectorAll("[data-days]")) {
    button.addEventListener("click", () => changeRange({ days: button.dataset.days === "90" ? null : button.dataset.days, from: null, to: null }));
  }
  for (const end of ["from", "to"]) $(end).addEventListener("change", () => changeRange({ days: null, [end]: $(end).value }));
  $("share").addEventListener("click", share);
}

// ---------------------------------------------------------------- loading

function problem(title, text) {
  $("problem").hidden = !title;
  if (title) show("problem", el("b", {}, title), el("p", {}, text), el("p", {}, el("a", { href: "#", onclick: (event) => { event.preventDefault(); load(); } }, say("Try again"))));
}

function draw() {
  if (!page.overview) return;
  const any = page.overview.runs.some((run) => !run.dry);
  $("panels").hidden = !any;
  if (!any) {
    $("status").className = "hero card";
    show("status", empty(say("No run yet"), say("Switch on {dag}, or trigger it by hand. The page shows its first run when it has ended.", { dag: page.overview.dag_id })));
    return;
  }
  for (const section of SECTIONS) section.draw();
}

// A chosen range may begin before the newest runs.
function overviewPath() {
  const { from, to } = range();
  return from || to ? `api/overview?${new URLSearchParams({ ...(from && { since: from }), ...(to && { until: to }) })}` : "api/overview";
}

async function load() {
  try {
    const response = await fetch(overviewPath(), { headers: { Accept: "application/json" } });
    const body = await response.json().catch(() => ({}));
    if (!response.ok) {
      problem(response.status === 401 || response.status === 403 ? say("You may not see this") : say("There is no data to show"),
        `${body.what ?? body.detail ?? say("The server answered {status}", { status: response.status })}. ${page.overview ? say("The figures below are older.") : ""} ${body.next ?? ""}`);
      if (!page.overview) { $("status").hidden = true; $("panels").hidden = true; }
      return;
    }
    page.overview = body;
    $("status").hidden = false;
    problem(null);
    drawBrands();
    draw();
    for (const section of SECTIONS) section.load?.();
  } catch (error) {
    console.error(error);
    problem(say("The server does not answer"), say("Check that Airflow's API server is running."));
  } finally {
    document.body.classList.remove("loading");
  }
}

// Its megabyte waits until the page has been painted.
function loadCharts() {
  document.head.append(el("script", { src: "static/echarts-6.1.0.min.js", onload: draw }));
}

followTheme(draw);
requestAnimationFrame(() => setTimeout(loadCharts));
listen();
drawRange();
new ResizeObserver(() => { for (const drawn of charts.values()) drawn.resize(); }).observe(document.body);
await speak(remembered() ?? language());
// The rows of a shared link are read while the overview is.
rows.draw();
load();
setInterval(() => { if (!document.hidden) load(); }, EVERY_MILLISECONDS);
