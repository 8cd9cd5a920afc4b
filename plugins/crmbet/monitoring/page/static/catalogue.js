// The catalogue in the UI: today's fill rate of every column, and of an open one its distribution and how both went.

import "./search.js";
import { css } from "./charts.js";
import { ask, el, empty } from "./dom.js";
import { followTheme } from "./theme.js";
import { fixed, percent, say, speak } from "./words.js";

let filled = {};
let drawn = [];

async function fillRates() {
  const answer = await ask("api/catalogue");
  if (!answer) return;
  ({ filled } = answer);
  for (const place of document.querySelectorAll(".filled")) {
    const share = filled[place.dataset.column];
    if (share !== undefined) place.textContent = say("{share} filled", { share: percent(share) });
  }
}

const grid = { left: 4, right: 8, top: 8, bottom: 4, containLabel: true };
const axis = (data) => ({ type: "category", data, axisLabel: { color: css("--muted"), fontSize: 11, hideOverlap: true }, axisTick: { show: false }, axisLine: { lineStyle: { color: css("--line") } } });
const values = (formatter) => ({ type: "value", axisLabel: { color: css("--muted"), fontSize: 11, formatter }, splitLine: { lineStyle: { color: css("--line") } } });
const tooltip = (valueFormatter) => ({ trigger: "axis", confine: true, backgroundColor: css("--card"), borderColor: css("--line"), textStyle: { color: css("--text"), fontSize: 12 }, valueFormatter, renderMode: "richText" });

function draw(place, options) {
  const picture = echarts.init(place, null, { renderer: "canvas" });
  picture.setOption({ animation: false, textStyle: { fontFamily: "inherit" }, grid, ...options });
  drawn.push(picture);
}

function figure(live, title) {
  const place = el("div", { class: "picture" });
  live.append(el("figure", {}, el("figcaption", {}, title), place));
  return place;
}

async function show(details) {
  const live = details.querySelector(".live");
  if (!live) return;
  const answer = await ask(`api/catalogue/${encodeURIComponent(details.id)}`);
  if (!answer || !window.echarts) return;
  const { fill, drift } = answer;
  live.hidden = false;
  live.replaceChildren();
  if (!fill.length && !drift.length) {
    live.append(empty(say("No figures yet"), say("They come with the next run.")));
    return;
  }
  const newest = drift[drift.length - 1];
  if (newest) {
    const [, , , , bins] = newest;
    draw(figure(live, say("Distribution as of {date}, beside the baseline", { date: newest[0] })), {
      tooltip: tooltip(percent), xAxis: { ...axis(bins.map((bin) => bin[0])), axisLabel: { show: false } }, yAxis: values(percent),
      series: [{ name: say("baseline"), type: "bar", barGap: "0%", itemStyle: { color: css("--muted") }, data: bins.map((bin) => bin[1]) }, { name: say("now"), type: "bar", itemStyle: { color: css("--accent") }, data: bins.map((bin) => bin[2]) }],
    });
    draw(figure(live, say("How far from the baseline: stability index, limit {limit}", { limit: fixed(newest[2], 2) })), {
      tooltip: tooltip((value) => (value === null || value === undefined ? "–" : fixed(value, 3))), xAxis: axis(drift.map((one) => one[0])), yAxis: values((value) => fixed(value, 2)),
      series: [{ name: say("stability index"), type: "line", itemStyle: { color: css("--accent") }, data: drift.map((one) => one[1]) }, { name: say("most allowed"), type: "line", showSymbol: false, lineStyle: { type: "dashed", width: 1 }, itemStyle: { color: css("--bad") }, data: drift.map((one) => one[2]) }],
    });
  }
  if (fill.length) {
    draw(figure(live, say("Share of players with a value")), {
      tooltip: tooltip(percent), xAxis: axis(fill.map((one) => one[0])), yAxis: { ...values(percent), max: 1, min: 0 },
      series: [{ name: say("filled"), type: "line", itemStyle: { color: css("--good") }, areaStyle: { opacity: 0.08 }, data: fill.map((one) => one[1]) }],
    });
  }
}

function redraw() {
  for (const picture of drawn.splice(0)) picture.dispose();
  for (const details of document.querySelectorAll("details[open]")) show(details);
}

await speak(document.documentElement.lang);
followTheme(redraw);
for (const details of document.querySelectorAll("details")) details.addEventListener("toggle", () => { if (details.open) show(details); });
new ResizeObserver(() => { for (const picture of drawn) picture.resize(); }).observe(document.body);
requestAnimationFrame(() => setTimeout(() => document.head.append(el("script", { src: "static/echarts-6.1.0.min.js", onload: redraw }))));
fillRates();
